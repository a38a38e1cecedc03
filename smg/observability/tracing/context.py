"""W3C trace context: the header `traceparent` read and written (https://www.w3.org/TR/trace-context).

Pure functions of bytes and ints.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from smg._speedups.request_head import TRACEPARENT as TRACEPARENT

TRACESTATE = b"tracestate"

SAMPLED = 1
#: the flags that have a meaning: sampled, and that the trace id is random
_KNOWN_FLAGS = 3
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Remote(NamedTuple):
    """The caller's span."""

    trace_id: int
    span_id: int
    flags: int


def parse(value: bytes) -> Remote | None:
    """The caller's span, or None where the header does not name one."""
    match = _FORM.fullmatch(value.strip(b" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Later versions may append fields, this one does not; ff is no version.
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    remote = Remote(int(trace_id, 16), int(span_id, 16), int(flags, 16) & _KNOWN_FLAGS)
    return remote if remote.trace_id and remote.span_id else None


def traceparent(trace_id: int, span_id: int, flags: int) -> bytes:
    """The header's value."""
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, flags)
