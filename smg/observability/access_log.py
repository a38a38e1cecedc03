"""The two lines per request, and the one of a stream that broke (operations 1.7.3).

On the hot path: lines go straight into the log queue as raw values, about a tenth of the cost of
`Logger.info`, and are formatted on the log thread.
"""

from __future__ import annotations

import logging
from time import time
from typing import Any

from smg.observability.log_format import Line
from smg.observability.logging import LogHandle

_REQUEST = logging.getLogger("smg.request")
_RESPONSE = logging.getLogger("smg.response")
_MODULE = "smg"
_FILE = "access_log.py"

Text = bytes | str


class AccessLog:
    """Writes through `handle`, or through the standard loggers when there is none.

    The attributes `enabled_*` tell whether a line of that level can come out at all; check
    `enabled_info` before `request_started`, and `enabled_info or status >= 400` before
    `response_head`. They follow level changes.
    """

    __slots__ = ("_handle", "_request_level", "_response_level", "enabled_debug", "enabled_info")

    def __init__(self, handle: LogHandle | None = None) -> None:
        self._handle = handle
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
        self, method: Text, uri: Text, version: Text, request_id: Text, probe: bool = False
    ) -> None:
        """The head of a request is complete. `uri` is path and query; probes log at DEBUG."""
        level = logging.DEBUG if probe else logging.INFO
        if level >= self._request_level:
            fields = {
                "method": method,
                "uri": uri,
                "version": version,
                "request_id": request_id,
                "module": _MODULE,
            }
            self._write(_REQUEST, level, "smg::request", "started processing request", fields)

    def response_head(
        self,
        method: Text,
        uri: Text,
        version: Text,
        request_id: Text,
        status: int,
        latency_us: int,
        probe: bool = False,
    ) -> None:
        """The head of the answer is ready, `latency_us` microseconds after the request's head."""
        if probe:
            level = logging.DEBUG
        elif status < 400:
            level = logging.INFO
        else:
            level = logging.WARNING if status < 500 else logging.ERROR
        if level >= self._response_level:
            fields = {
                "method": method,
                "uri": uri,
                "version": version,
                "request_id": request_id,
                "module": _MODULE,
                "status_code": status,
                "latency": latency_us,
            }
            self._write(_RESPONSE, level, "smg::response", "finished processing request", fields)

    def stream_failed(
        self, method: Text, uri: Text, version: Text, request_id: Text, error: Text
    ) -> None:
        """The body broke after the head; not for clients that left."""
        if self._response_level <= logging.ERROR:
            fields = {
                "method": method,
                "uri": uri,
                "version": version,
                "request_id": request_id,
                "module": _MODULE,
                "error": error,
            }
            self._write(_RESPONSE, logging.ERROR, "smg::response", "response body failed", fields)

    def _write(
        self, logger: logging.Logger, level: int, target: str, message: str, fields: dict[str, Any]
    ) -> None:
        if self._handle is not None:
            self._handle.submit(Line(time(), level, target, _FILE, 0, message, fields))
        else:
            logger.log(level, message, extra={"fields": fields})
