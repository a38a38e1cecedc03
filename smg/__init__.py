"""Shepherd Model Gateway: one front door for LLM traffic.

Only the version lives here, so that importing the package stays free of charge.
"""

from __future__ import annotations

from smg.version import __version__

__all__ = ["__version__"]
