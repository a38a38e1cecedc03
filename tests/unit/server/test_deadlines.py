"""Time limits of a client connection, with a clock moved by hand (http-api 3.7)."""

from __future__ import annotations

import orjson
import pytest

from tests.unit.server.edge import Edge

GET = b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n"
LATER = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
LIMITS = {"header_read_timeout": 10, "idle_timeout": 20, "body_stall_timeout": 30, "linger": 5}


def code(answer) -> str:
    return str(orjson.loads(answer.body)["error"]["code"])


def test_a_client_that_sends_nothing_is_closed_silently():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        edge.advance(9.5)
        assert not client.transport.closed
        edge.advance(1)
        assert client.transport.lost
        assert not client.output


def test_half_a_head_gets_408():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(GET[:20])
        edge.advance(9.5)
        client.send(GET[20:24])  # does not start the clock again
        assert not client.output
        edge.advance(1)
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (408, "timeout")
        assert not answer.keep_alive
        assert client.transport.eof_sent


def test_half_a_head_on_a_kept_connection_gets_408():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(GET)
        edge.advance(15)
        client.send(GET[:20])
        edge.advance(9.5)
        assert len(client.answers()) == 1
        edge.advance(1)
        assert [answer.status for answer in client.answers()] == [200, 408]


def test_an_idle_connection_is_closed_silently():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        for _ in range(3):
            client.send(GET)
            edge.advance(19.5)
            assert not client.transport.closed
        edge.advance(1)
        assert client.transport.lost
        assert len(client.answers()) == 3


def test_an_idle_connection_with_unread_answers_is_reset():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(GET)
        client.transport.buffered = 1
        edge.advance(20.5)
        assert client.transport.aborted


def test_a_body_that_stalls_gets_408():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(POST)
        for _ in range(5):
            edge.advance(29.5)
            assert not client.output
            client.send(b"x")  # every piece starts the clock again
        edge.advance(30.5)
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (408, "request_body_stalled")
        assert not answer.keep_alive
        client.send(b"x" * 5)
        assert not edge.seen


def test_no_limit_runs_while_a_request_is_answered():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(LATER)
        edge.advance(1000)
        assert not client.transport.closed
        edge.release()
        assert client.answers()[0].status == 200
        edge.advance(19.5)
        assert not client.transport.closed
        edge.advance(1)
        assert client.transport.lost


def test_a_body_read_behind_a_long_answer_is_not_stalled():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(LATER + POST)
        client.send(b"x" * 10)  # complete; the answer before it takes its time
        edge.advance(1000)
        edge.release()
        edge.settle()
        assert [answer.status for answer in client.answers()] == [200, 200]
        assert client.answers()[1].keep_alive


def test_a_body_that_stalls_behind_a_long_answer_ends_the_connection_after_it():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(LATER + POST)
        edge.advance(31)
        assert not client.output
        edge.release()
        edge.settle()
        (answer,) = client.answers()
        assert answer.status == 200
        assert not answer.keep_alive
        assert client.ended


@pytest.mark.parametrize("wire", [GET.replace(b"1.1", b"1.0"), POST[:-4] + b"0\r\n\r\n"])
def test_an_answer_nobody_takes_is_given_up(wire):
    with Edge(drain_bytes=0, **LIMITS) as edge:
        client = edge.connect()
        client.transport.buffered = 1000
        client.send(wire.replace(b"/now", b"/nowhere"))
        assert client.ended
        assert not client.transport.lost
        edge.advance(4.5)
        assert not client.transport.aborted
        edge.advance(1)
        assert client.transport.lost


def test_a_cut_answer_nobody_takes_is_given_up():
    with Edge(**LIMITS) as edge:
        client = edge.connect()
        client.send(LATER)
        exchange = edge.held[0].exchange
        exchange.start(200, [])
        client.transport.buffered = 1000
        edge.held[0].released = 1
        exchange.abort()
        assert not client.transport.aborted
        edge.advance(6)
        assert client.transport.lost


def test_limits_that_are_off():
    off = dict.fromkeys(LIMITS, 0)
    with Edge(**off) as edge:
        silent, half, stalled, idle = (edge.connect() for _ in range(4))
        half.send(GET[:10])
        stalled.send(POST)
        idle.send(GET)
        edge.advance(10_000)
        for client in (silent, half, stalled, idle):
            assert not client.transport.closed


def test_many_connections_end_in_the_order_of_their_limits():
    with Edge(**LIMITS) as edge:
        clients = []
        for _ in range(5):
            clients.append(edge.connect())
            edge.advance(1)
        for index in range(5):
            edge.advance(5 if index == 0 else 1)
            edge.advance(0.25)
            lost = [client.transport.lost for client in clients]
            assert lost == sorted(lost, reverse=True)
        edge.advance(10)
        assert all(client.transport.lost for client in clients)
