"""Who may call: keys, compared in constant time and never logged."""

from __future__ import annotations

from smg.auth.keys import SharedKey

__all__ = ["SharedKey"]
