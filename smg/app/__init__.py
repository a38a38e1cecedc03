"""Builds and runs a gateway. `run(config)` blocks until shutdown."""

from smg.app.main import run

__all__ = ["run"]
