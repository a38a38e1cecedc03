"""The console: one page for a browser, and the data it shows (operations 1.16)."""

from __future__ import annotations

from smg.endpoints.console.data import ConsoleData
from smg.endpoints.console.page import page

__all__ = ["ConsoleData", "page"]
