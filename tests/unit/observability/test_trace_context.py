from __future__ import annotations

import pytest

from smg.observability.tracing.context import Remote, parse, traceparent

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TEXT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_written_is_read_again():
    for flags in (0, 1, 2, 3):
        assert parse(traceparent(TRACE, SPAN, flags)) == Remote(TRACE, SPAN, flags)
    assert traceparent(TRACE, SPAN, 1) == TEXT
    assert traceparent(1, 2, 0) == b"00-%032d-%016d-00" % (1, 2)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (b" \t" + TEXT + b" ", 1),
        (TEXT[:-2] + b"ff", 3),  # flags without a meaning are dropped
        (b"cc" + TEXT[2:], 1),  # a later version
        (b"cc" + TEXT[2:] + b"-what-comes-later", 1),
    ],
)
def test_accepted(value: bytes, flags: int):
    assert parse(value) == Remote(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        TEXT.upper(),
        TEXT[:-1],
        TEXT + b"-more",  # this version has four fields
        TEXT + b"0",
        b"cc" + TEXT[2:] + b".",
        b"ff" + TEXT[2:],
        b"0" + TEXT,
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        TEXT.replace(b"-", b"_"),
        TEXT[:-2] + b"0x",
        TEXT + b"\n",
    ],
)
def test_refused(value: bytes):
    assert parse(value) is None
