"""The command itself: arguments in, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from smg.serve.args import parse_serve_args
from smg.serve.orchestrator import ServeOrchestrator


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smg serve`; returns the exit code: 0, 1 (start-up), 2 (usage), 128 + signal."""
    try:
        backend, args, backend_args = parse_serve_args(sys.argv[1:] if argv is None else argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return ServeOrchestrator(backend, args, backend_args).run()
