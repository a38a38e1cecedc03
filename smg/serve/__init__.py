"""`smg serve`: start engine workers, wait for them, run the gateway in this process, stop them.

The names here are public (cli 12). Importing this package loads no event loop.
"""

from __future__ import annotations

from smg.serve.args import ServeArgs, parse_serve_args
from smg.serve.command import main
from smg.serve.launchers import BACKEND_LAUNCHERS, Launcher
from smg.serve.orchestrator import ServeOrchestrator

__all__ = [
    "BACKEND_LAUNCHERS",
    "Launcher",
    "ServeArgs",
    "ServeOrchestrator",
    "main",
    "parse_serve_args",
]
