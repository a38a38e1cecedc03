"""Builds and runs a gateway. `run(config)` blocks until shutdown."""

from __future__ import annotations

from smg.app.main import run

__all__ = ["run"]
