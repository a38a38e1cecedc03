"""Waiting until all workers are ready: in parallel, one deadline, and the first death ends it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

PROBE_TIMEOUT_SECS = 5.0
FIRST_PAUSE_SECS = 0.05
LONGEST_PAUSE_SECS = 2.0


class StartupError(Exception):
    """The workers did not become ready; the message is for people."""


class Readiness:
    """One waiting. `ended(name, code)` may be called from any thread, before and during `wait`."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[tuple[str, int | None]] = queue.SimpleQueue()
        self._over = threading.Event()

    def ended(self, name: str, code: int | None) -> None:
        """A worker's process ended."""
        self._news.put((name, code if code is not None else -1))

    def wait(self, probes: Sequence[tuple[str, Callable[[float], bool]]], timeout: float) -> None:
        """Return when every probe (name, function of a time limit) said yes; raises StartupError.

        Blocks the calling thread, signal handlers run meanwhile.
        """
        deadline = time.monotonic() + timeout
        waiting = {name for name, _ in probes}
        for name, probe in probes:
            thread = threading.Thread(target=self._probe, args=(name, probe), daemon=True)
            thread.start()
        try:
            while waiting:
                try:
                    name, code = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    late = ", ".join(sorted(waiting))
                    raise StartupError(f"not ready within {timeout:g} s: {late}") from None
                if code is not None:
                    raise StartupError(f"worker {name} {describe_exit(code)} before it was ready")
                waiting.discard(name)
        finally:
            self._over.set()

    def _probe(self, name: str, probe: Callable[[float], bool]) -> None:
        pause = FIRST_PAUSE_SECS
        while not self._over.is_set():
            if probe(PROBE_TIMEOUT_SECS):
                self._news.put((name, None))
                return
            self._over.wait(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECS)


def describe_exit(code: int) -> str:
    """`ended with exit code 3` or `was ended by signal 9`."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
