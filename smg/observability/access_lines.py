"""The lines of the access log: raw values as the event loop queues them, and what both formats
make of them on the log thread.

An entry is a plain tuple. Two of them come with every request, so `JsonLines` writes the usual one
without a dictionary; everything unusual takes the way of all other lines.
"""

from __future__ import annotations

from collections.abc import Callable

from smg._speedups.access_text import json_line
from smg.observability.log_format import Line, timestamp, without_secrets

#: seconds since 1970, level, status (0: the request came), latency in microseconds, method, request
#: target, HTTP version, request id
Entry = tuple[float, int, int, int, bytes, bytes, bytes, bytes]

FILE = "access_log.py"
STARTED = "started processing request"
FINISHED = "finished processing request"
# Clients choose the targets: this many are kept in their written form, and only short ones.
_KEPT = 1024
_SHORT = 256


def as_line(entry: Entry) -> Line:
    """The line of an entry, for formats that have no way of their own."""
    created, level, status, latency, method, uri, version, request_id = entry
    fields: dict[str, bytes | str | int] = {
        "method": method,
        "uri": without_secrets(uri),
        "version": version,
        "request_id": request_id,
        "module": "smg",
    }
    if not status:
        return Line(created, level, "smg::request", FILE, 0, STARTED, fields)
    fields["status_code"] = status
    fields["latency"] = latency
    return Line(created, level, "smg::response", FILE, 0, FINISHED, fields)


class _Middle:
    """What a line has in common with the one before."""

    def __init__(self) -> None:
        self.method = self.uri = self.version = self.text = b""
        self.level = -1


class JsonLines:
    """Writes entries as `form`, a JSON format, would. Known secrets are still in what it writes."""

    def __init__(self, form: Callable[[Line], str]) -> None:
        self._form = form
        #: what stands between the time and the id, by what it is made from
        self._middles: dict[tuple[bytes, bytes, bytes, int, bool], bytes] = {}
        #: of the line before, one for each kind; nearly always this one has the same
        self._started = _Middle()
        self._finished = _Middle()
        #: the second that `_stamp` writes, seconds since 1970
        self._second = -1
        self._stamp = b""

    def text(self, entry: Entry) -> str:
        """The line."""
        created, level, status, latency, method, uri, version, request_id = entry
        milliseconds = int(created * 1000)
        second, milliseconds = milliseconds // 1000, milliseconds % 1000
        if second != self._second:
            self._second = second
            self._stamp = timestamp(second)[: -len("000Z")].encode()
        last = self._finished if status else self._started
        if (
            uri == last.uri
            and method == last.method
            and version == last.version
            and level == last.level
        ):
            middle = last.text
        else:
            known = self._middles.get((method, uri, version, level, status != 0))
            middle = self._middle(entry) if known is None else known
            last.method, last.uri, last.version = method, uri, version
            last.level, last.text = level, middle
        line = json_line(self._stamp, milliseconds, middle, request_id, status, latency)
        return self._form(as_line(entry)) if line is None else line

    def _middle(self, entry: Entry) -> bytes:
        created, level, status, latency, method, uri, version, _ = entry
        # Cut out of a whole line, so that there is one place that knows how values are written.
        line = self._form(as_line((created, level, status, latency, method, uri, version, b"")))
        start = len('{"timestamp":"') + len(timestamp(created))
        middle = line[start : line.rindex('"request_id":"') + len('"request_id":"')].encode()
        if len(uri) <= _SHORT:
            if len(self._middles) >= _KEPT:
                self._middles.clear()
            self._middles[(method, uri, version, level, status != 0)] = middle
        return middle
