"""BodyTracker over any body, any cut: as its plain twin, as one feed, and as httptools."""

from __future__ import annotations

import itertools

import httptools
from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.framing import CHUNKED, LENGTH, UNTIL_CLOSE, BodyTracker, FramingError
from tests.unit.speedups.framing_plain import PlainError, PlainTracker

BLANKS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b"\r", b"data: x", b"0\r\n\r\n"])
PIECE = st.binary(max_size=20) | BLANKS
PADDING = st.sampled_from([b"", b"", b"", b" ", b"\t ", b";a=b", b" ; a", b';a="x y"'])
TRAILER = st.sampled_from([b"", b"", b"x: y\r\n", b"a:\r\nb: c\r\n"])


@st.composite
def chunked(draw):
    wire = b""
    for piece in draw(st.lists(PIECE, max_size=5)):
        if piece:
            size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(piece)
            wire += size + draw(PADDING) + b"\r\n" + piece + b"\r\n"
    return wire + b"0" + draw(PADDING) + b"\r\n" + draw(TRAILER) + b"\r\n"


@st.composite
def mutated(draw, source):
    wire = bytearray(draw(source))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(wire)))
        change = draw(st.sampled_from(["drop", "insert", "replace", "double"]))
        byte = draw(st.sampled_from(list(b"\r\n\0 ;0159afg:\x80")) | st.integers(0, 255))
        if change == "insert":
            wire.insert(at, byte)
        elif at < len(wire):
            if change == "drop":
                del wire[at]
            elif change == "replace":
                wire[at] = byte
            else:
                wire[at:at] = wire[at : at + 5]
    return bytes(wire)


NOISE = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"0", b"5", b"a", b";", b" "]), max_size=30
)
WIRES = mutated(chunked()) | st.binary(max_size=60) | NOISE.map(b"".join)
BODIES = st.one_of(
    st.tuples(st.just(CHUNKED), st.just(0), WIRES),
    st.tuples(st.just(LENGTH), st.integers(0, 60), st.binary(max_size=60)),
    st.tuples(st.just(UNTIL_CLOSE), st.just(0), st.lists(PIECE, max_size=6).map(b"".join)),
)
CUTS = st.lists(st.integers(0, 120), max_size=8)


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in itertools.pairwise(edges)]


def look(tracker: BodyTracker | PlainTracker) -> tuple[object, ...]:
    return (
        tracker.complete,
        tracker.payload_bytes,
        tracker.at_chunk_boundary,
        tracker.at_frame_boundary,
    )


def step(tracker: BodyTracker | PlainTracker, data: bytes) -> tuple[int, bytes] | None:
    """What `decode` says, None for an error."""
    try:
        return tracker.decode(data)
    except (FramingError, PlainError):
        return None


@given(BODIES, CUTS)
def test_every_cut_is_read_as_the_plain_twin_reads_it(body, cuts):
    mode, length, wire = body
    plain, fast, counted = PlainTracker(mode, length), BodyTracker(mode, length), None
    counted = BodyTracker(mode, length)
    for piece in pieces(wire, cuts):
        expected = step(plain, piece)
        assert step(fast, piece) == expected
        try:
            used = counted.feed(piece)
        except FramingError:
            used = None
        assert used == (None if expected is None else expected[0])
        assert look(fast) == look(plain)
        assert look(counted) == look(plain)
    assert fast.close() == counted.close() == plain.close()
    assert look(fast) == look(plain)


@given(BODIES, CUTS, st.binary(max_size=20))
def test_any_cut_gives_what_one_feed_gives(body, cuts, after):
    mode, length, wire = body
    whole = BodyTracker(mode, length)
    at_once = step(whole, wire + after)
    cut = BodyTracker(mode, length)
    results = [step(cut, piece) for piece in pieces(wire + after, cuts)]
    assert look(cut) == look(whole)
    if at_once is None:
        assert None in results
        assert None not in results[: results.index(None)]
        assert all(result is None for result in results[results.index(None) :])
    else:
        assert sum(used for used, _ in results) == at_once[0]
        assert b"".join(payload for _, payload in results) == at_once[1]


@given(chunked(), st.binary(max_size=30))
def test_bytes_after_the_end_are_never_consumed(wire, after):
    tracker = BodyTracker(CHUNKED)
    assert tracker.feed(wire + after) == len(wire)
    assert tracker.complete
    assert tracker.feed(after) == 0
    assert tracker.decode(after) == (0, b"")


class Collector:
    """httptools callbacks."""

    def __init__(self) -> None:
        self.body = b""
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@given(WIRES)
def test_what_both_accept_httptools_reads_alike(wire):
    ours = BodyTracker(CHUNKED)
    result = step(ours, wire)
    if result is None or not ours.complete:
        return
    theirs = Collector()
    parser = httptools.HttpResponseParser(theirs)
    try:
        parser.feed_data(HEAD + wire[: result[0]])
    except httptools.HttpParserError:
        return  # padding, characters of an extension: httptools is stricter there
    assert theirs.complete
    assert theirs.body == result[1]


def sse_at_line_start_after_blank(payload: bytes) -> bool:
    """Whether a reader of SSE stands between two events: lines split as the standard says."""
    lines = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return lines[-1] == b"" and (len(lines) < 2 or lines[-2] == b"")


@given(st.lists(PIECE, max_size=6).map(b"".join), CUTS)
def test_a_frame_is_never_inserted_inside_another(payload, cuts):
    tracker = BodyTracker(UNTIL_CLOSE)
    seen = b""
    for piece in pieces(payload, cuts):
        tracker.feed(piece)
        seen += piece
        if tracker.at_frame_boundary:
            assert sse_at_line_start_after_blank(seen)
