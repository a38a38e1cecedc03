"""Answers: whole, streamed, broken off; pipelining, draining, CORS; clients that leave."""

from __future__ import annotations

import pytest

from smg.core.errors import GatewayError
from smg.server import Exchange, Route
from tests.unit.server.edge import Edge, echo

GET = b"GET /now HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n\r\n"
GET_10 = b"GET /now HTTP/1.0\r\nX-Request-Id: i\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


def output(start, wire: bytes = GET, **settings) -> bytes:
    with Edge([Route("GET", "/now", start)], **settings) as edge:
        client = edge.connect()
        client.send(wire)
        return client.output


# -- whole answers ---------------------------------------------------------------------------------


def test_respond_byte_for_byte():
    def start(exchange: Exchange) -> None:
        exchange.respond(200, b"{}", headers=[(b"x-a", b"1"), (b"x-a", b"2")])
        exchange.respond(500, b"twice")  # ended: ignored
        exchange.fail(GatewayError("late"))
        exchange.finish()
        exchange.abort()

    assert output(start) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-a: 1\r\nx-a: 2\r\n"
        b"content-length: 2\r\nx-request-id: i\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, b"content-length: 0\r\n"),
        (404, b"content-length: 0\r\n"),
        (204, b""),
        (304, b""),
    ],
)
def test_empty_answers(status, lines):
    sent = output(lambda exchange: exchange.respond(status))
    assert sent.partition(b"\r\n")[2] == lines + b"x-request-id: i\r\n\r\n"


def test_head_has_the_length_and_no_body():
    def start(exchange: Exchange) -> None:
        assert exchange.method == b"HEAD"
        exchange.respond(200, b"x" * 70_000, b"text/plain")

    sent = output(start, HEAD)
    assert b"\r\ncontent-length: 70000\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")


def test_a_large_body_is_not_joined_to_its_head():
    body = b"x" * 70_000
    assert output(lambda exchange: exchange.respond(200, body)).endswith(b"\r\n\r\n" + body)


# -- streamed answers ------------------------------------------------------------------------------


def streaming(exchange: Exchange, length: int | None = None) -> None:
    exchange.start(200, [(b"x-a", b"1")], length=length)
    exchange.write(b"hello")
    exchange.write(b"")
    exchange.write(b" world")
    exchange.finish()
    exchange.finish()
    exchange.write(b"after the end")


def test_a_stream_is_chunked():
    assert output(streaming) == (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\nx-request-id: i\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )


def test_a_large_piece_has_the_same_framing():
    piece = b"x" * 70_000

    def start(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.write(piece)
        exchange.finish()

    assert output(start).endswith(b"\r\n\r\n11170\r\n" + piece + b"\r\n0\r\n\r\n")


def test_a_stream_of_known_length_is_not_framed():
    sent = output(lambda exchange: streaming(exchange, 11))
    assert b"\r\ncontent-length: 11\r\n" in sent
    assert b"chunked" not in sent
    assert sent.endswith(b"\r\n\r\nhello world")


def test_a_stream_to_http_1_0_ends_by_close():
    with Edge([Route("GET", "/now", streaming)]) as edge:
        client = edge.connect()
        client.send(GET_10)
        assert b"chunked" not in client.output
        assert client.output.endswith(b"\r\nconnection: close\r\n\r\nhello world")
        assert client.ended


def test_the_head_of_a_stream_without_its_body():
    sent = output(streaming, HEAD)
    assert b"transfer-encoding: chunked\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")


# -- answers that break off ------------------------------------------------------------------------


def breaking(exchange: Exchange) -> None:
    exchange.start(200, [])
    exchange.write(b"half")
    exchange.fail(GatewayError("broken"))
    exchange.write(b"more")


def test_an_error_after_the_head_leaves_the_framing_open():
    with Edge([Route("GET", "/now", breaking)]) as edge:
        client = edge.connect()
        client.send(GET + GET)
        assert client.output.endswith(b"4\r\nhalf\r\n")
        assert client.output.count(b"HTTP/1.1") == 1
        assert client.transport.closed
        assert not client.transport.aborted  # what was sent before still arrives


def test_an_error_after_the_head_resets_http_1_0():
    with Edge([Route("GET", "/now", breaking)]) as edge:
        client = edge.connect()
        client.send(GET_10)
        assert client.transport.aborted  # its body ends by close: that would look complete


def test_an_error_before_the_head_is_an_answer():
    sent = output(lambda exchange: exchange.fail(GatewayError("no", status=503, code="c")))
    assert sent.startswith(
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    )
    assert b"\r\nx-smg-error-code: c\r\n" in sent


# -- clients that leave ----------------------------------------------------------------------------

LATER = GET.replace(b"/now", b"/later")


def test_a_client_that_leaves_is_told_to_the_consumer_once():
    with Edge() as edge:
        client = edge.connect()
        client.send(LATER + LATER + GET)
        client.leave()
        (held,) = edge.held  # the second was not started
        assert (held.gone, held.released) == (1, 0)
        assert held.exchange.done
        echo(held.exchange)  # an answer that comes too late goes nowhere
        assert not client.output


def test_half_closing_is_leaving():
    with Edge() as edge:
        client = edge.connect()
        client.send(LATER)
        assert client.conn.eof_received() is False  # the transport closes itself then


def test_a_consumer_is_not_called_after_its_end():
    with Edge() as edge:
        client = edge.connect()
        client.send(LATER)
        edge.release()
        client.conn.pause_writing()
        client.conn.resume_writing()
        client.leave()
        assert (edge.held[0].gone, edge.held[0].paused, edge.held[0].resumed) == (0, 0, 0)


def test_a_slow_reader_pauses_its_producer():
    with Edge() as edge:
        client = edge.connect()
        client.send(LATER)
        held = edge.held[0]
        client.conn.pause_writing()
        assert held.paused == 1
        assert client.conn.is_write_paused
        client.conn.resume_writing()
        assert held.resumed == 1
        assert not client.conn.is_write_paused
        edge.release()


# -- pipelining ------------------------------------------------------------------------------------


def numbered(path: str, number: int) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n\r\n" % (path.encode(), number)


def ids(client) -> list[bytes | None]:
    return [answer.header(b"x-request-id") for answer in client.answers()]


def test_new_input_does_not_overtake_what_waits():
    with Edge() as edge:
        client = edge.connect()
        client.send(numbered("/later", 1) + numbered("/now", 2))  # 2 is parsed and waits
        client.send(numbered("/now", 3)[:30])  # the rest waits unparsed
        client.send(numbered("/now", 3)[30:])
        edge.release()
        client.send(numbered("/now", 4), settle=False)  # in the turn before the next one starts
        edge.settle()
        assert ids(client) == [b"1", b"2", b"3", b"4"]


def test_what_waits_for_a_slow_reader_is_not_overtaken():
    with Edge() as edge:
        client = edge.connect()
        client.send(numbered("/later", 1))
        client.send(numbered("/now", 2))
        client.conn.pause_writing()
        edge.release()
        edge.settle()
        assert ids(client) == [b"1"]  # nothing more is made for who does not read
        client.send(numbered("/now", 3))
        assert ids(client) == [b"1"]
        client.conn.resume_writing()
        edge.settle()
        assert ids(client) == [b"1", b"2", b"3"]


def test_reading_stops_while_too_much_waits():
    with Edge(max_pipelined_bytes=100) as edge:
        client = edge.connect()
        client.send(numbered("/later", 0))
        for number in range(1, 10):
            client.send(numbered("/now", number))
        assert not client.transport.reading
        edge.release()
        edge.settle()
        assert client.transport.reading
        assert ids(client) == [b"%d" % number for number in range(10)]


def test_a_long_pipeline_does_not_grow_the_stack():
    with Edge() as edge:
        client = edge.connect()
        client.send(numbered("/later", 0) + b"".join(numbered("/now", n) for n in range(1, 3000)))
        edge.release()
        edge.settle()
        assert len(client.answers()) == 3000


def test_bad_bytes_behind_good_requests_end_the_connection_after_their_answers():
    with Edge() as edge:
        client = edge.connect()
        client.send(numbered("/later", 1) + numbered("/now", 2) + b"\0garbage\r\n\r\n")
        client.send(numbered("/now", 3))
        edge.release()
        edge.settle()
        assert ids(client) == [b"1", b"2"]
        assert [answer.keep_alive for answer in client.answers()] == [True, False]
        assert client.ended


def test_requests_behind_the_last_one_are_not_served():
    refused = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for following in (GET, refused, LATER, b"GET /now HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n"):
        with Edge() as edge:
            client = edge.connect()
            client.send(refused + following + GET)
            assert [answer.status for answer in client.answers()] == [404]
            assert client.transport.eof_sent
            assert not edge.server.exchanges
            assert not edge.seen


def test_a_body_that_comes_while_another_request_is_answered():
    post = b"POST /now HTTP/1.1\r\nHost: a\r\nX-Request-Id: 2\r\nContent-Length: 4\r\n\r\n"
    with Edge(body_stall_timeout=10, idle_timeout=0) as edge:
        client = edge.connect()
        client.send(numbered("/later", 1))
        client.send(post)
        client.send(b"bo")
        edge.release()
        edge.settle()
        client.send(b"dy" + numbered("/now", 3))
        assert ids(client) == [b"1", b"2", b"3"]


# -- draining --------------------------------------------------------------------------------------


def test_draining_closes_idle_connections_and_ends_the_others_with_their_answer():
    with Edge() as edge:
        idle, busy, reading = edge.connect(), edge.connect(), edge.connect()
        idle.send(GET)
        busy.send(LATER + GET)
        reading.send(GET[:10])
        edge.server.stop_accepting()
        edge.settle()
        assert idle.transport.lost
        assert not busy.transport.closed
        edge.release()
        edge.settle()
        (answer,) = busy.answers()
        assert answer.header(b"connection") == b"close"
        assert busy.ended
        assert not edge.server.exchanges


# -- CORS (http-api 3.5) ---------------------------------------------------------------------------

PREFLIGHT = b"OPTIONS /now HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\n\r\n"


def cors(origins: tuple[bytes, ...], wire: bytes) -> dict[bytes, bytes]:
    deny = GatewayError("no", status=401)
    with Edge(
        [Route("GET", "/now", echo)], cors_allowed_origins=origins, authorize=lambda exchange: deny
    ) as edge:
        client = edge.connect()
        client.send(wire)
        (answer,) = client.answers()
        relevant = {
            name: value
            for name, value in answer.headers
            if name.startswith(b"access-control-") or name in (b"vary", b"allow")
        }
        return {b"status": b"%d" % answer.status, b"body": answer.body[:1], **relevant}


def with_origin(wire: bytes, origin: bytes) -> bytes:
    return wire.replace(b"\r\n\r\n", b"\r\nOrigin: " + origin + b"\r\n\r\n")


ALL = {
    b"access-control-allow-origin": b"*",
    b"access-control-expose-headers": b"*",
}
ONE = {
    b"access-control-allow-origin": b"https://a",
    b"access-control-expose-headers": b"x-request-id",
    b"vary": b"origin",
}
ANSWERED = {b"status": b"200", b"body": b"G"}
NOT_ALLOWED = {b"status": b"405", b"body": b"{", b"allow": b"GET, HEAD"}


@pytest.mark.parametrize(
    ("origins", "wire", "expected"),
    [
        ((), with_origin(GET, b"https://a"), ANSWERED),
        ((), PREFLIGHT % b"https://a", NOT_ALLOWED),
        ((b"*",), with_origin(GET, b"https://b"), {**ANSWERED, **ALL}),
        ((b"*",), GET, {**ANSWERED, **ALL}),
        ((b"https://a", b"https://c"), with_origin(GET, b"https://a"), {**ANSWERED, **ONE}),
        ((b"https://a",), with_origin(GET, b"https://b"), {**ANSWERED, b"vary": b"origin"}),
        ((b"https://a",), with_origin(GET, b"null"), {**ANSWERED, b"vary": b"origin"}),
        ((b"https://a",), GET, {**ANSWERED, b"vary": b"origin"}),
        (
            (b"*",),
            PREFLIGHT % b"https://b",
            {
                b"status": b"200",
                b"body": b"",
                **ALL,
                b"access-control-allow-methods": b"*",
                b"access-control-allow-headers": b"*",
                b"access-control-max-age": b"3600",
            },
        ),
        (
            (b"https://a",),
            PREFLIGHT % b"https://b",
            {b"status": b"200", b"body": b"", b"vary": b"origin"},
        ),
        (
            (b"https://a",),
            PREFLIGHT.replace(b"/now", b"/nowhere") % b"https://a",
            {b"status": b"404", b"body": b"{", **ONE},
        ),
        (
            (b"https://a",),
            with_origin(GET.replace(b"GET", b"PUT"), b"https://a"),
            {**NOT_ALLOWED, **ONE},
        ),
    ],
)
def test_cors(origins, wire, expected):
    assert cors(origins, wire) == expected


def test_a_preflight_from_an_allowed_origin_of_a_list():
    headers = cors((b"https://a",), PREFLIGHT % b"https://a")
    assert headers.items() >= ONE.items()
    assert headers[b"access-control-max-age"] == b"3600"
    methods = headers[b"access-control-allow-methods"].split(b",")
    assert {b"GET", b"POST", b"PATCH", b"DELETE", b"OPTIONS"} <= set(methods)
    allowed = headers[b"access-control-allow-headers"].split(b",")
    assert {b"content-type", b"authorization", b"x-request-id"} <= set(allowed)
    assert b"access-control-allow-credentials" not in headers


def test_a_preflight_needs_no_key():
    deny = GatewayError("no", status=401)
    from smg.server import Auth

    routes = [Route("POST", "/data", echo, Auth.DATA)]
    with Edge(routes, cors_allowed_origins=(b"*",), authorize=lambda exchange: deny) as edge:
        client = edge.connect()
        client.send((PREFLIGHT % b"https://a").replace(b"/now", b"/data"))
        client.send(b"POST /data HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        preflight, refused = client.answers()
        assert (preflight.status, refused.status) == (200, 401)
        # an error without these lines could not be read by the page
        assert refused.header(b"access-control-allow-origin") == b"*"
