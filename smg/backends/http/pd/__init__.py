"""Prefill and decode on different workers, over HTTP: SGLang at once, vLLM one after the other."""

from __future__ import annotations

from smg.backends.http.pd.backend import PairBackend

__all__ = ["PairBackend"]
