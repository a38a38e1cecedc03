from collections.abc import Callable
from typing import Any

class SpanMessages:
    def __init__(self, redact: Callable[[str], str] | None = None) -> None: ...
    def add(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        parent_id: int,
        state: str,
        started: float,
        ended: float,
        wall_ns: int,
        attributes: dict[str, Any],
        events: list[tuple[float, str, dict[str, Any]]],
        failed: bool,
    ) -> None: ...
    def messages(self) -> bytes: ...
    def texts(self) -> bytes: ...

def member(number: int, content: bytes) -> bytes: ...
