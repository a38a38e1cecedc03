"""Finding markers in text that arrives in pieces: what may be half a marker is kept back."""

from __future__ import annotations

from smg._speedups.text_scan import Markers

__all__ = ["Markers"]
