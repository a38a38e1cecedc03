"""One span as it is collected on the event loop: raw values, nothing formatted.

`otlp.py` makes a message of it, on the SDK's own thread.
"""

from __future__ import annotations

from time import time_ns
from typing import Any

from smg._speedups.clock import perf_counter


class Span:
    """A piece of work with a beginning and an end.

    `started`, `ended` and the times of events are seconds of `time.perf_counter()`. Attributes may
    be bytes; those that are None are left out. `failed`: the operator should look.
    """

    def __init__(
        self, name: str, trace_id: int, span_id: int, started: float, parent_id: int = 0
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        #: 0: a trace that begins here
        self.parent_id = parent_id
        #: `tracestate` as the caller sent it
        self.trace_state = b""
        self.started = started
        self.ended = 0.0
        #: the wall clock at `started`, nanoseconds since 1970
        self.wall_ns = time_ns() - int((perf_counter() - started) * 1e9)
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[float, str, dict[str, Any]]] = []
        self.failed = False

    def add(self, name: str, attributes: dict[str, Any]) -> None:
        """Something happened now; `attributes` are kept."""
        self.events.append((perf_counter(), name, attributes))

    def unix_ns(self, moment: float) -> int:
        """A time of this span in nanoseconds since 1970."""
        return self.wall_ns + int((moment - self.started) * 1e9)
