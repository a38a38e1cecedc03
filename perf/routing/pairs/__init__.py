"""Policies for prefill/decode pairs: see `python -m perf.routing.pairs --help`."""

from __future__ import annotations
