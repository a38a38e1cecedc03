"""The two lines per request, and the one of a stream that broke (operations 1.7.3).

On the hot path: lines go straight into the log queue as tuples of raw values (`access_lines.py`)
and are formatted on the log thread.
"""

from __future__ import annotations

import logging

from smg._speedups.clock import wall_clock
from smg.observability.access_lines import FILE, Entry, as_line
from smg.observability.log_format import Line, without_secrets
from smg.observability.log_queue import Later
from smg.observability.logging import LogHandle

_REQUEST = logging.getLogger("smg.request")
_RESPONSE = logging.getLogger("smg.response")
_INFO, _WARNING, _ERROR = logging.INFO, logging.WARNING, logging.ERROR
_DEBUG = logging.DEBUG


class AccessLog:
    """Writes through `handle`, or through the standard loggers when there is none.

    The attributes `enabled_*` tell whether a line of that level can come out at all; check
    `enabled_info` before `request_started`, and `enabled_info or status >= 400` before
    `response_head`. They follow level changes.
    """

    def __init__(self, handle: LogHandle | None = None) -> None:
        self._write = _to_standard_loggers if handle is None else handle.submit
        self.refresh()
        if handle is not None:
            handle.subscribe(self.refresh)

    def refresh(self) -> None:
        """Read the levels again; the handle calls this, tests without one do it themselves."""
        self._request_level = _REQUEST.getEffectiveLevel()
        self._response_level = _RESPONSE.getEffectiveLevel()
        lowest = min(self._request_level, self._response_level)
        self.enabled_info = lowest <= logging.INFO
        self.enabled_debug = lowest <= logging.DEBUG

    def request_started(
        self, method: bytes, uri: bytes, version: bytes, request_id: bytes, probe: bool = False
    ) -> None:
        """The head of a request is complete. `uri` is path and query; probes log at DEBUG."""
        level = _DEBUG if probe else _INFO
        if level >= self._request_level:
            self._write((wall_clock(), level, 0, 0, method, uri, version, request_id))

    def response_head(
        self,
        method: bytes,
        uri: bytes,
        version: bytes,
        request_id: bytes,
        status: int,
        latency_us: int,
        probe: bool = False,
    ) -> None:
        """The head of the answer is ready, `latency_us` microseconds after the request's head."""
        if probe:
            level = _DEBUG
        elif status < 400:
            level = _INFO
        else:
            level = _WARNING if status < 500 else _ERROR
        if level >= self._response_level:
            self._write((wall_clock(), level, status, latency_us, method, uri, version, request_id))

    def stream_failed(
        self,
        method: bytes,
        uri: bytes,
        version: bytes,
        request_id: bytes,
        error: str,
        worker: str,
        cause: BaseException | str | None = None,
    ) -> None:
        """The body broke after the head; not for clients that left."""
        if self._response_level <= logging.ERROR:
            why = None if cause is None else str(cause)
            values = (method, uri, version, request_id, error, worker, why)
            self._write(Later((_failed, wall_clock(), logging.ERROR, *values)))


def _failed(
    created: float,
    level: int,
    method: bytes,
    uri: bytes,
    version: bytes,
    request_id: bytes,
    error: str,
    worker: str,
    cause: str | None,
) -> Line:
    fields = {
        "method": method,
        "uri": without_secrets(uri),
        "version": version,
        "request_id": request_id,
        "module": "smg",
        "error": error,
        "worker": worker,
        "cause": cause,
    }
    return Line(created, level, "smg::response", FILE, 0, "response body failed", fields)


def _to_standard_loggers(entry: Later | Entry) -> None:
    """Where there is no log thread: in tests, and in programs that bring their own logging."""
    line = entry.line() if isinstance(entry, Later) else as_line(entry)
    logger = logging.getLogger(line.target.replace("::", "."))
    logger.log(line.level, line.message, extra={"fields": line.fields})
