"""BodyTracker, case by case; the property tests compare it with its plain twin."""

from __future__ import annotations

import pytest

from smg._speedups.framing import CHUNKED, LENGTH, UNTIL_CLOSE, BodyTracker, FramingError
from tests.unit.speedups.framing_plain import PlainError, PlainTracker


def test_length_ends_after_its_bytes_and_leaves_the_rest():
    tracker = BodyTracker(LENGTH, 5)
    assert not tracker.complete
    assert tracker.feed(b"abc") == 3
    assert tracker.feed(b"deXYZ") == 2
    assert tracker.complete
    assert tracker.payload_bytes == 5
    assert tracker.feed(b"more") == 0


def test_length_zero_is_complete_at_once():
    tracker = BodyTracker(LENGTH, 0)
    assert tracker.complete
    assert tracker.decode(b"next") == (0, b"")
    assert tracker.close()


def test_length_larger_than_32_bits():
    tracker = BodyTracker(LENGTH, 5_000_000_000)
    assert tracker.feed(b"x" * 10) == 10
    assert not tracker.complete
    assert not tracker.close()


def test_until_close_ends_by_close_only():
    tracker = BodyTracker(UNTIL_CLOSE)
    assert tracker.feed(b"anything") == 8
    assert not tracker.complete
    assert tracker.close()
    assert tracker.complete
    assert tracker.feed(b"after the end") == 0


@pytest.mark.parametrize(
    ("wire", "payload"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"000005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"5;name=value\r\nhello\r\n0;last\r\n\r\n", b"hello"),
        (b'5 ; name = "v;\r"'.replace(b"\r", b"") + b"\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5  \t\r\nhello\r\n0 \r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nexpires: never\r\nx: y\r\n\r\n", b"hello"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    ],
)
def test_chunked_bodies(wire, payload):
    tracker = BodyTracker(CHUNKED)
    assert tracker.decode(wire + b"HTTP/1.1 200 OK") == (len(wire), payload)
    assert tracker.complete
    assert tracker.payload_bytes == len(payload)
    by_byte = BodyTracker(CHUNKED)
    assert b"".join(by_byte.decode(bytes([byte]))[1] for byte in wire) == payload
    assert by_byte.complete


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b" 5\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"5\n",
        b"5\rX",
        b"5 6\r\n",
        b"5 x\r\n",
        b"5,\r\n",
        b"5;a\nb\r\n",
        b"5;a\0b\r\n",
        b"5;a\rb\r\n",
        b"5\r\nhelloX",
        b"5\r\nhello\n",
        b"5\r\nhello\rX",
        b"0\r\n\n",
        b"0\r\n\0",
        b"0\r\n\rX",
        b"0\r\na: b\n",
        b"0\r\na: \0b\r\n",
        b"0\r\na: b\rX",
        b"1000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"0" * 34,
        b"5;" + b"a" * 5000,
        b"5" + b" " * 5000,
        b"0\r\n" + b"a: b\r\n" * 5000,
        b"0\r\na: " + b"b" * 20000,
    ],
    ids=lambda wire: repr(wire[:24]),
)
def test_chunked_errors_are_final(wire):
    tracker = BodyTracker(CHUNKED)
    with pytest.raises(FramingError):
        tracker.feed(wire)
    assert not tracker.complete
    assert not tracker.at_chunk_boundary
    assert not tracker.at_frame_boundary
    assert not tracker.close()
    with pytest.raises(FramingError):
        tracker.feed(b"5\r\nhello\r\n")
    with pytest.raises(FramingError):
        tracker.decode(b"0\r\n\r\n")
    with pytest.raises(PlainError):
        PlainTracker(CHUNKED).feed(wire)


def test_close_in_the_middle_is_no_end():
    for cut in range(len(wire := b"5;x\r\nhello\r\n0\r\na: b\r\n\r\n")):
        tracker = BodyTracker(CHUNKED)
        tracker.feed(wire[:cut])
        assert not tracker.close()
    length = BodyTracker(LENGTH, 3)
    length.feed(b"ab")
    assert not length.close()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_frame_boundary_is_a_blank_line(line_end):
    frame = b"event: a" + line_end + b"data: {}" + line_end + line_end
    tracker = BodyTracker(UNTIL_CLOSE)
    assert tracker.at_frame_boundary  # nothing yet: a frame may come first
    for index, byte in enumerate(frame * 2, 1):
        tracker.feed(bytes([byte]))
        assert tracker.at_frame_boundary is (index % len(frame) == 0)


def test_chunk_framing_is_no_part_of_the_frame_boundary():
    tracker = BodyTracker(CHUNKED)
    tracker.feed(b"9\r\ndata: 1\n\n")
    assert tracker.at_frame_boundary
    assert not tracker.at_chunk_boundary
    tracker.feed(b"\r\n")
    assert tracker.at_frame_boundary
    assert tracker.at_chunk_boundary
    tracker.feed(b"3")
    assert not tracker.at_chunk_boundary
    tracker.feed(b"\r\nabc\r\n")
    assert tracker.at_chunk_boundary
    assert not tracker.at_frame_boundary
    tracker.feed(b"1\r\n\n\r\n1\r\n\n\r\n")  # the blank line cut over two chunks
    assert tracker.at_frame_boundary
    tracker.feed(b"0\r\n\r\n")
    assert not tracker.at_chunk_boundary  # after the end there is no place for a chunk


def test_only_bytes_are_taken():
    for wrong in (None, "text", bytearray(b"0"), memoryview(b"0")):
        with pytest.raises(TypeError):
            BodyTracker(CHUNKED).feed(wrong)
