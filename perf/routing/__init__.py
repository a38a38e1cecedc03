"""Routing policies measured by what users feel: see `python -m perf.routing --help`."""

from __future__ import annotations
