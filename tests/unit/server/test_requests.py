"""What becomes of one request: ids, limits, malformed bytes, refusals."""

from __future__ import annotations

import re

import orjson
import pytest

from smg.core.errors import AuthError, GatewayError
from smg.server import Auth, Route
from tests.unit.server.edge import Edge, echo


def get(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode("latin-1")


def post(path: str, body: bytes, *lines: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *lines, method="POST") + body


def code(answer) -> object:
    error = orjson.loads(answer.body)["error"]
    assert answer.header(b"x-smg-error-code") == str(error["code"]).encode()
    assert answer.header(b"content-type") == b"application/json"
    return error["code"]


# -- request ids (http-api 3.6) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-Request-Id: abc"], b"abc"),
        (["x-correlation-id: c1"], b"c1"),
        (["x-trace-id: t1"], b"t1"),
        (["request-id: r1"], b"r1"),
        (["request-id: r1", "x-trace-id: t1", "x-correlation-id: c1", "x-request-id: abc"], b"abc"),
        (["request-id: r1", "x-trace-id: t1"], b"t1"),
        (["x-request-id:", "x-trace-id: t1"], b"t1"),
        (["x-request-id: " + "a" * 257, "request-id: r1"], b"r1"),
        (["x-request-id: " + "a" * 256], b"a" * 256),
        (["x-request-id: \xe4", "x-correlation-id: c1"], b"c1"),
        (["x-request-id: a\tb", "x-correlation-id: c1"], b"c1"),
        (['x-request-id: a b~!"{}'], b'a b~!"{}'),
        (["x-request-id: first", "x-request-id: second"], b"first"),
    ],
)
def test_the_first_valid_id_in_the_order_of_the_list(lines, expected):
    with Edge() as edge:
        client = edge.connect()
        client.send(get("/now", *lines))
        answer = client.answers()[0]
        ids = [value for name, value in answer.headers if name == b"x-request-id"]
        assert ids == [expected]


def test_configured_id_headers_replace_the_list():
    with Edge(request_id_headers=(b"X-Mine", b"x-request-id")) as edge:
        client = edge.connect()
        client.send(get("/now", "x-request-id: b", "x-mine: a"))
        client.send(get("/now", "x-trace-id: c"))
        first, second = client.answers()
        assert first.header(b"x-request-id") == b"a"
        assert second.header(b"x-request-id").startswith(b"req-")


@pytest.mark.parametrize("lines", [[], ["x-request-id:"], ["x-request-id: \xff"]])
@pytest.mark.parametrize("prefix", [b"chatcmpl-", b"msg_"])
def test_made_ids_have_the_prefix_of_the_route(prefix, lines):
    with Edge([Route("GET", "/now", echo, id_prefix=prefix)]) as edge:
        client = edge.connect()
        client.send(get("/now", *lines) * 2 + get("/nowhere"))
        first, second, unknown = (answer.header(b"x-request-id") for answer in client.answers())
        assert re.fullmatch(prefix + rb"[A-Za-z0-9]{24}", first)
        assert first != second
        assert re.fullmatch(rb"req-[A-Za-z0-9]{24}", unknown)


# -- what a handler sees ---------------------------------------------------------------------------


def test_what_a_handler_sees():
    with Edge() as edge:
        client = edge.connect()
        client.send(post("/now?a=b?c", b"body", "X-Twice: 1", "X-TWICE: 2"))
        client.send(get("http://other/items/a%2Fb?q"))
        client.send(get("http://other"))
        first, second = edge.seen
        assert (first.method, first.path, first.query) == (b"POST", b"/now", b"a=b?c")
        assert (first.target, first.version) == (b"/now?a=b?c", b"HTTP/1.1")
        assert first.header(b"x-twice") == b"1"
        assert first.header(b"x-none") is None
        assert [value for name, value in first.headers if name == b"x-twice"] == [b"1", b"2"]
        assert first.route.path == "/now"
        assert second.params == {"item": "a/b"}
        assert (second.path, second.query) == (b"/items/a%2Fb", b"q")
        answers = client.answers()
        assert [answer.status for answer in answers] == [200, 200, 404]
        assert answers[0].body == b"POST|/now?a=b?c|HTTP/1.1|body"


def test_trailers_are_dropped():
    with Edge() as edge:
        client = edge.connect()
        head = get("/now", "Transfer-Encoding: chunked", method="POST")
        client.send(head + b"3\r\nabc\r\n0\r\nx-evil: 1\r\n\r\n" + get("/now"))
        assert [answer.status for answer in client.answers()] == [200, 200]
        assert all(exchange.header(b"x-evil") is None for exchange in edge.seen)
        assert client.answers()[0].body.endswith(b"|abc")


def test_http_1_0_is_answered_and_closed():
    with Edge() as edge:
        client = edge.connect()
        client.send(b"GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        (answer,) = client.answers()
        assert answer.status == 200
        assert answer.body == b"GET|/now|HTTP/1.0|"
        assert client.output.startswith(b"HTTP/1.1 200 ")
        assert answer.header(b"connection") == b"close"
        assert client.ended


# -- limits (http-api 3.7) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "status", "expected"),
    [
        (get("/" + "a" * 100), 414, "uri_too_long"),
        (get("/now", *["a: b"] * 9), 431, "headers_too_large"),
        (get("/now", "a: " + "b" * 500), 431, "headers_too_large"),
        (b"GET /now HTTP/1.1\r\na: " + b"b" * 500, 431, "headers_too_large"),
        (b"GET /" + b"b" * 500, 431, "headers_too_large"),
        (b"GET /now HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version"),
        (b"GET /now\r\n\r\n", 505, "http_version"),
        (get("/now", "content-length: 101", method="POST"), 413, "request_body_too_large"),
        (post("/now", b"x" * 101), 413, "request_body_too_large"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_limits(wire, status, expected):
    with Edge(
        max_target_bytes=100,
        max_headers=9,
        max_head_bytes=400,
        max_payload_size=100,
        drain_bytes=50,
    ) as edge:
        client = edge.connect()
        client.send(wire)
        (answer,) = client.answers()
        assert answer.status == status
        assert code(answer) == expected
        assert answer.header(b"connection") == b"close"
        assert client.ended
        assert not edge.seen


def test_just_within_the_limits():
    with Edge(max_target_bytes=100, max_headers=9, max_payload_size=100) as edge:
        client = edge.connect()
        client.send(get("/now?" + "a" * 95))
        client.send(get("/now", *["a: b"] * 8))
        client.send(post("/now", b"x" * 100))
        assert [answer.status for answer in client.answers()] == [200] * 3


def test_a_large_body_leaves_a_turn_to_others_at_every_mib():
    quarter = b"x" * (256 << 10)
    with Edge() as edge:
        client = edge.connect()
        wire = post("/now", quarter * 10)
        turns = []
        for at in range(0, len(wire), len(quarter)):
            client.send(wire[at : at + len(quarter)], settle=False)
            if not client.transport.reading:
                turns.append(at // len(quarter))
                edge.settle()
                assert client.transport.reading
        assert turns == [3, 7]
        (answer,) = client.answers()
        assert answer.body.endswith(b"|" + quarter * 10)


def test_a_client_that_leaves_in_the_middle_of_a_large_body():
    with Edge() as edge:
        client = edge.connect()
        client.send(post("/now", b"x" * (2 << 20))[: 3 << 19], settle=False)
        assert not client.transport.reading
        client.leave()  # no reading is asked of a socket that is closed
        assert not edge.seen


def test_a_chunked_body_over_the_limit_is_refused_where_it_passes_it():
    with Edge(max_payload_size=10) as edge:
        client = edge.connect()
        client.send(get("/now", "Transfer-Encoding: chunked", method="POST"))
        client.send(b"a\r\n0123456789\r\n")
        assert not client.output
        client.send(b"1\r\nx")
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (413, "request_body_too_large")
        assert "length limit exceeded" in orjson.loads(answer.body)["error"]["message"]
        assert client.ended
        client.send(b"\r\n0\r\n\r\n" + get("/now"))
        assert len(client.answers()) == 1


def test_a_small_refused_body_is_drained_and_the_connection_lives():
    with Edge(drain_bytes=50) as edge:
        client = edge.connect()
        client.send(post("/nowhere", b"x" * 50)[:-20])
        assert not client.output
        client.send(b"x" * 20 + get("/now"))
        first, second = client.answers()
        assert (first.status, second.status) == (404, 200)
        assert first.keep_alive


def test_a_large_refused_body_is_answered_at_once_and_not_kept():
    with Edge(drain_bytes=50) as edge:
        client = edge.connect()
        client.send(get("/nowhere", "Content-Length: 51", method="POST"))
        (answer,) = client.answers()
        assert answer.status == 404
        assert not answer.keep_alive
        assert client.transport.eof_sent  # half-closed: the answer survives what is still coming
        assert not client.transport.closed
        client.send(b"x" * 51 + get("/now"))
        assert not edge.seen
        assert len(client.answers()) == 1


# -- what is no request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"BREW /now HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /now HTTP/1.1\nHost: a\n\n",
        b"GET /now HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        get("/now", "Host: b"),
        b"GET /now HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /now HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET /now HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET /now HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
        get("/now", " folded: x"),
        get("/now", ": nameless"),
        get("/now", "a : b"),
        get("/now", "a: b\0c"),
        get("/now", "a: b\rc: d"),
        get("/now", "content-length: 5", "content-length: 5", method="POST") + b"hello",
        get("/now", "content-length: 5", "content-length: 6", method="POST") + b"hello!",
        get("/now", "content-length: 5, 5", method="POST") + b"hello",
        get("/now", "content-length: +5", method="POST") + b"hello",
        get("/now", "content-length: -5", method="POST"),
        get("/now", "content-length: 99999999999999999999", method="POST"),
        get("/now", "content-length: 5", "transfer-encoding: chunked", method="POST"),
        get("/now", "transfer-encoding: chunked", "content-length: 5", method="POST"),
        get("/now", "transfer-encoding: gzip", method="POST"),
        get("/now", "transfer-encoding: gzip, chunked", method="POST"),
        get("/now", "transfer-encoding: chunked, identity", method="POST"),
        get("/now", "transfer-encoding: xchunked", method="POST"),
        b"POST /now HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        get("/now", "transfer-encoding: chunked", method="POST") + b"5 6\r\nhello\r\n0\r\n\r\n",
        get("/now", "transfer-encoding: chunked", method="POST") + b"xyz\r\n",
    ],
    ids=repr,
)
def test_malformed_requests_reach_nobody(wire):
    with Edge() as edge:
        client = edge.connect()
        client.send(wire + get("/now"))
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (400, "bad_request")
        assert answer.header(b"connection") == b"close"
        assert answer.header(b"x-request-id").startswith(b"req-")
        assert client.ended
        assert not edge.seen


@pytest.mark.parametrize(
    "host", ["", "a", "A.b-c_d~", "a:80", "[::1]:8080", "127.0.0.1", "a ", "\t a \t"]
)
def test_hosts_that_are_fine(host):
    with Edge() as edge:
        client = edge.connect()
        client.send(f"GET /now HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert [answer.status for answer in client.answers()] == [200]


@pytest.mark.parametrize("wire", [b"\r\n\r\n", b""])
def test_empty_lines_before_a_request_are_ignored(wire):
    with Edge() as edge:
        client = edge.connect()
        client.send(wire + get("/now"))
        assert [answer.status for answer in client.answers()] == [200]


@pytest.mark.parametrize(
    "wire",
    [
        get("/now", "Connection: upgrade", "Upgrade: h2c"),
        get("/now", "Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket"),
    ],
)
def test_an_upgrade_is_answered_as_an_ordinary_request_that_is_the_last(wire):
    with Edge() as edge:
        client = edge.connect()
        client.send(wire + b"\0\1\2")
        (answer,) = client.answers()
        assert answer.status == 200
        assert not answer.keep_alive
        assert client.ended


def test_an_upgrade_with_a_body_is_read_to_its_end():
    with Edge() as edge:
        client = edge.connect()
        wire = post("/now", b"hello", "Connection: upgrade", "Upgrade: h2c")
        client.send(wire[:-2])
        assert not client.output
        client.send(wire[-2:] + b"rest")
        (answer,) = client.answers()
        assert answer.body == b"POST|/now|HTTP/1.1|hello"
        assert client.ended


def test_connect_is_unknown():
    with Edge() as edge:
        client = edge.connect()
        client.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nxxx")
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (404, "unknown_url")
        assert client.ended


def test_options_star_is_unknown():
    with Edge() as edge:
        client = edge.connect()
        client.send(get("*", method="OPTIONS"))
        assert [answer.status for answer in client.answers()] == [404]


# -- expect ----------------------------------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_continue_is_said_when_the_body_is_wanted():
    with Edge() as edge:
        client = edge.connect()
        client.send(get("/now", "Content-Length: 5", "Expect: 100-Continue", method="POST"))
        assert client.output == CONTINUE
        client.send(b"hello")
        assert client.output.startswith(CONTINUE + b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "wire",
    [
        get("/now", "Content-Length: 0", "Expect: 100-continue", method="POST"),
        get("/now", "Content-Length: 5", "Expect: else", method="POST"),
        b"POST /now HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        get("/nowhere", "Content-Length: 5", "Expect: 100-continue", method="POST"),
    ],
)
def test_continue_is_not_said_otherwise(wire):
    with Edge() as edge:
        client = edge.connect()
        client.send(wire)
        assert CONTINUE not in client.output


def test_continue_waits_for_the_turn_of_its_request():
    with Edge() as edge:
        client = edge.connect()
        client.send(get("/later"))
        client.send(get("/now", "Content-Length: 2", "Expect: 100-continue", method="POST"))
        assert not client.output
        edge.release()
        edge.settle()
        assert client.output.endswith(CONTINUE)
        client.send(b"ok")
        assert [answer.status for answer in client.answers()] == [200, 200]


# -- who may ---------------------------------------------------------------------------------------


def deny(exchange) -> GatewayError | None:
    if exchange.header(b"authorization") == b"Bearer key":
        return None
    return AuthError("no", headers=((b"www-authenticate", b"Bearer"),))


CLASSES = [
    Route("GET", "/open", echo),
    Route("POST", "/data", echo, Auth.DATA),
    Route("GET", "/control/{id}", echo, Auth.CONTROL),
]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/open", 200),
        ("POST", "/data", 401),
        ("GET", "/control/1", 401),
        ("GET", "/data", 405),  # no key needed to learn that
        ("GET", "/control", 404),
    ],
)
def test_the_class_of_the_matched_route_decides(method, path, status):
    with Edge(CLASSES, authorize=deny) as edge:
        client = edge.connect()
        client.send(get(path, method=method))
        client.send(get(path, "Authorization: Bearer key", method=method))
        first, second = client.answers()
        assert first.status == status
        assert second.status == (200 if status == 401 else status)
        if status == 401:
            assert code(first) == "invalid_api_key"
            assert first.header(b"www-authenticate") == b"Bearer"
            assert first.keep_alive


def test_a_body_without_a_key_is_not_kept():
    with Edge(CLASSES, authorize=deny, drain_bytes=10) as edge:
        client = edge.connect()
        client.send(get("/data", "Content-Length: 1000", method="POST"))
        assert client.answers()[0].status == 401
        assert client.ended


# -- handlers that fail ----------------------------------------------------------------------------


def test_a_handler_that_raises_is_a_500_that_says_nothing():
    def broken(exchange):
        raise KeyError("secret")

    with Edge([Route("GET", "/now", broken)], expect_errors=True) as edge:
        client = edge.connect()
        client.send(get("/now"))
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (500, "internal_error")
        assert b"secret" not in client.output
        assert answer.keep_alive
        assert edge.loop.problems


def test_a_gateway_error_of_a_handler_is_its_answer():
    def refusing(exchange):
        raise GatewayError(
            "no", status=429, code="full", retry_after=2, param="p", headers=((b"x-a", b"b"),)
        )

    with Edge([Route("GET", "/now", refusing)]) as edge:
        client = edge.connect()
        client.send(get("/now"))
        (answer,) = client.answers()
        assert (answer.status, code(answer)) == (429, "full")
        assert answer.header(b"retry-after") == b"2"
        assert answer.header(b"x-a") == b"b"
        assert orjson.loads(answer.body)["error"] == {
            "type": "rate_limit_error",
            "code": "full",
            "message": "no",
            "param": "p",
        }
