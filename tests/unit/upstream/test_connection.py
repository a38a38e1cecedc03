"""One connection to a worker, without a network: any answer, any cut, any fault."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.upstream.fakes import User, connection, pool, sent

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
TO_THE_END = OK + b"\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"


def receive(conn, data: bytes, cuts=()) -> None:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    for begin, end in itertools.pairwise(edges):
        if not conn.transport.is_closing():
            conn.data_received(data[begin:end])


@pytest.mark.parametrize("wire", [SIZED, CHUNKED, INTERIM + SIZED])
def test_an_answer_at_once_keeps_the_connection(wire):
    to, user = pool(), User(decode=True)
    conn = sent(to, user)
    conn.data_received(wire)
    assert user.events == [("head", 200), ("done", b"hello")]
    assert list(to.idle) == [conn]
    assert conn.user is None


def test_bytes_are_passed_on_as_they_are():
    to, user = pool(), User()
    receive(sent(to, user), CHUNKED)
    assert user.body == b"5\r\nhello\r\n0\r\n\r\n"


@given(
    st.sampled_from([SIZED, CHUNKED, INTERIM + CHUNKED, INTERIM + SIZED]),
    st.booleans(),
    st.lists(st.integers(0, 200), max_size=10),
    st.sampled_from([b"", b"", b"HTTP/1.1 200 OK\r\n"]),
)
def test_any_cut_gives_the_same_answer(wire, decode, cuts, behind):
    to, user = pool(), User(decode=decode)
    conn = sent(to, user)
    receive(conn, wire + behind, cuts)
    assert user.events[0] == ("head", 200)
    assert user.events[-1][0] == "done"
    assert [event[0] for event in user.events].count("first") <= 1
    assert user.body == (
        b"hello" if decode or wire.endswith(SIZED) else CHUNKED.partition(b"\r\n\r\n")[2]
    )
    # Bytes nobody asked for: out of step, never used again.
    assert (conn in to.idle) is (not behind) or conn.transport.is_closing()
    assert conn.transport.is_closing() is bool(behind)


def test_an_answer_that_ends_by_close():
    to, user = pool(), User()
    conn = sent(to, user)
    receive(conn, TO_THE_END, [len(OK) + 4])
    assert ("done", b"") not in user.events
    conn.connection_lost(None)
    assert user.events == [("head", 200), ("first", b"he"), ("piece", b"llo"), ("done", b"")]
    assert not to.idle
    assert not to.connections


@pytest.mark.parametrize(
    ("wire", "head_request"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", False),
        (OK + b"content-length: 5\r\n\r\n", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n", True),
        (OK + b"\r\n", True),
        (OK + b"content-length: 0\r\n\r\n", False),
    ],
)
def test_answers_without_a_body(wire, head_request):
    to, user = pool(), User()
    conn = sent(to, user, head_request=head_request)
    conn.data_received(wire)
    assert [event[0] for event in user.events] == ["head", "done"]
    assert user.body == b""
    assert list(to.idle) == [conn]


@pytest.mark.parametrize(
    "wire",
    [
        SIZED.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"),
        SIZED.replace(b"1.1", b"1.0"),
    ],
)
def test_an_answer_that_says_close(wire):
    to, user = pool(), User()
    conn = sent(to, user)
    conn.data_received(wire)
    assert user.events[-1] == ("done", b"hello")
    assert conn.transport.is_closing()
    assert not to.idle


def test_an_answer_before_the_whole_request_was_taken():
    to, user = pool(), User()
    conn = sent(to, user)
    conn.transport.buffered = 1
    conn.data_received(SIZED)
    assert conn.transport.is_closing()
    assert user.events[-1] == ("done", b"hello")


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-x\r\n",
        b"H2TP",
        b"\0",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        OK + b"content-length: x\r\n\r\n",
        OK + b"a: " + b"b" * 300,
        OK + b"a: " + b"b" * 300 + b"\r\n\r\n",
        OK + b"a: b\r\n" * 9 + b"\r\n",
        INTERIM + b"nonsense",
    ],
    ids=lambda wire: repr(wire[:30]),
)
def test_what_is_no_answer(wire):
    to, user = pool(max_head_bytes=200, max_headers=8), User()
    conn = sent(to, user, uses=2)
    conn.data_received(wire)
    assert user.events == [("failed", "call_upstream_bad_response", False)]
    assert conn.transport.aborted
    conn.connection_lost(None)
    assert len(user.events) == 1


@pytest.mark.parametrize("first", [b"", b"5\r\nhello\r\n"])
def test_broken_framing_in_a_body(first):
    to, user = pool(), User()
    conn = sent(to, user)
    conn.data_received(OK + b"transfer-encoding: chunked\r\n\r\n" + first)
    conn.data_received(b"nonsense")
    assert user.events[-1] == ("failed", "read_response_body_failed", False)
    assert conn.transport.aborted
    assert conn.tracker is not None
    assert not conn.tracker.at_frame_boundary


def test_broken_framing_beside_the_head():
    to, user = pool(), User()
    conn = sent(to, user)
    conn.data_received(OK + b"transfer-encoding: chunked\r\n\r\nnonsense")
    assert user.events == [("head", 200), ("failed", "read_response_body_failed", False)]


@pytest.mark.parametrize(
    ("wire", "uses", "code", "reused"),
    [
        (b"", 1, "call_upstream_connection_failed", False),
        (b"", 2, "call_upstream_connection_failed", True),
        (b"HTTP/1.1 20", 2, "call_upstream_bad_response", False),
        (SIZED[:-1], 2, "read_response_body_failed", False),
        (CHUNKED[:-1], 2, "read_response_body_failed", False),
    ],
)
def test_a_connection_that_is_lost(wire, uses, code, reused):
    to, user = pool(), User()
    conn = sent(to, user, uses=uses)
    if wire:
        conn.data_received(wire)
    conn.connection_lost(None)
    assert user.events[-1] == ("failed", code, reused)
    assert not to.connections


def test_a_reset_is_no_end_of_a_body():
    to, user = pool(), User()
    conn = sent(to, user)
    conn.data_received(TO_THE_END)
    conn.connection_lost(ConnectionResetError())
    assert user.events[-1] == ("failed", "read_response_body_failed", False)


def test_an_idle_connection_must_be_silent():
    to = pool()
    conn = connection(to)
    to.release(conn)
    conn.data_received(SIZED)
    assert conn.transport.aborted
    assert to.acquire(User()) is None


def test_dropping_in_the_head_ends_it():
    to, user = pool(), User()
    user.on_head = lambda conn: conn.drop()
    conn = sent(to, user)
    conn.data_received(SIZED)
    assert user.events == [("head", 200)]
    assert conn.transport.aborted
    conn.connection_lost(None)
    assert len(user.events) == 1


def test_pausing():
    to, user = pool(), User()
    conn = sent(to, user)
    conn.data_received(CHUNKED[:-3])
    conn.pause()
    conn.pause()
    assert not conn.transport.reading
    conn.resume()
    conn.resume()
    assert conn.transport.reading
    conn.pause()
    conn.data_received(CHUNKED[-3:])  # came with the last read
    assert conn.transport.reading  # the next user starts unpaused
    assert list(to.idle) == [conn]


def test_small_bodies_go_out_with_their_head():
    to, user = pool(), User()
    conn = connection(to)
    conn.send(user, b"head", b"")
    conn.send(user, b"head", b"x" * 10)
    conn.send(user, b"head", b"x" * 40_000)
    assert conn.transport.written == [b"head", b"head" + b"x" * 10, b"head", b"x" * 40_000]
    assert conn.uses == 3


def test_a_second_answer_on_the_same_connection():
    to, first, second = pool(), User(decode=True), User()
    conn = sent(to, first)
    conn.data_received(CHUNKED)
    assert to.acquire(second) is conn
    conn.send(second, b"x", b"")
    conn.data_received(SIZED)
    assert first.events == [("head", 200), ("done", b"hello")]
    assert second.events == [("head", 200), ("done", b"hello")]


def test_every_piece_marks_the_connection_active():
    to, user = pool(), User()
    conn = sent(to, user)
    assert not conn.active
    conn.data_received(CHUNKED[:-5])
    assert conn.active
    conn.active = False
    conn.data_received(CHUNKED[-5:-2])
    assert conn.active


def test_a_lost_worker_after_an_interim_answer_is_not_asked_again():
    to, user = pool(), User()
    conn = sent(to, user, uses=2)
    conn.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
    conn.connection_lost(None)
    assert user.events == [("failed", "call_upstream_connection_failed", False)]
