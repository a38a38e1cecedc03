"""The inbound HTTP/1.1 side: keep-alive, pipelining, framing, methods, targets, smuggling."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from smg.server import Exchange, HttpServer, Route, ServerSettings
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import ClosedEarly, RawClient, encode_chunks, request_bytes
from tests.doubles.raw_server import Peer, RawServer, echo_chat
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, chat_request, nothing_left, send_chat, until


class Rig:
    """An `HttpServer` alone: `/held` waits until the test answers it, `/echo` answers at once."""

    def __init__(self, **settings: object) -> None:
        routes = [
            Route("GET", "/held/{name}", self._hold),
            Route("GET", "/now/{name}", self._now),
            Route("POST", "/echo", self._echo),
            Route("GET", "/big", self._big),
        ]
        self.held: dict[str, Exchange] = {}
        self.order: list[str] = []
        self.server = HttpServer(routes, ServerSettings(**settings))  # type: ignore[arg-type]

    def _hold(self, exchange: Exchange) -> None:
        assert exchange.params is not None
        self.order.append(exchange.params["name"])
        self.held[exchange.params["name"]] = exchange

    def _now(self, exchange: Exchange) -> None:
        assert exchange.params is not None
        self.order.append(exchange.params["name"])
        exchange.respond(200, exchange.params["name"].encode(), b"text/plain")

    def _echo(self, exchange: Exchange) -> None:
        exchange.respond(200, exchange.body, b"application/octet-stream")

    def _big(self, exchange: Exchange) -> None:
        self.order.append("big")
        exchange.respond(200, b"x" * 100_000, b"text/plain")

    async def hold(self, name: str) -> Exchange:
        """The held exchange, once its request is there."""
        await until(lambda: name in self.held)
        return self.held.pop(name)


@asynccontextmanager
async def rig(**settings: object) -> AsyncIterator[tuple[Rig, RawClient]]:
    made = Rig(**settings)
    await made.server.listen("127.0.0.1", 0)
    try:
        async with await RawClient.connect(made.server.port) as client:
            yield made, client
    finally:
        await made.server.close()


def get(path: str) -> bytes:
    return request_bytes("GET", path)


async def bodies(client: RawClient, count: int) -> list[bytes]:
    return [(await client.answer()).body for _ in range(count)]


# -- keep-alive and pipelining --------------------------------------------------------------------


async def test_a_connection_serves_many_requests() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        for _ in range(5):
            answer = await client.request("GET", "/health")
            assert (answer.status, answer.body) == (200, b"OK")
            assert answer.header("connection") is None
        assert len(gateway.server.connections) == 1


async def test_connection_close_is_honoured() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        answer = await client.request("GET", "/health", headers={"Connection": "close"})
        assert answer.header("connection") == "close"
        assert await client.read_to_end() == b""


async def test_pipelined_local_and_proxied_requests_are_answered_in_order() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            await peer.respond(200, {"n": request.json()["n"]})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            wire, expected = b"", []
            for number in range(1, 41):
                wire += chat_request(n=number) + get("/health") + get("/nope")
                expected += [(200, json.dumps({"n": number}).encode()), (200, b"OK"), (404, None)]
            await client.send(wire)
            for status, body in expected:
                answer = await client.answer()
                assert answer.status == status
                assert body is None or answer.body == body
            # still in step
            assert (await client.request("GET", "/health")).body == b"OK"
        await nothing_left(gateway)


async def test_requests_behind_a_slow_answer_wait_their_turn() -> None:
    async with rig() as (served, client):
        await client.send(get("/held/a") + get("/now/b") + get("/held/c") + get("/now/d"))
        first = await served.hold("a")
        assert served.order == ["a"]
        first.respond(200, b"a")
        assert await bodies(client, 2) == [b"a", b"b"]
        (await served.hold("c")).respond(200, b"c")
        assert await bodies(client, 2) == [b"c", b"d"]


async def test_bytes_that_come_between_two_pipelined_answers_stay_behind() -> None:
    """The next segment may be read in the very turn in which the answer before ends."""
    async with rig() as (served, client):
        await client.send(get("/held/a"))
        exchange = await served.hold("a")
        (connection,) = served.server.connections
        connection.data_received(get("/now/b")[:10])  # waits as bytes
        exchange.respond(200, b"a")
        connection.data_received(get("/now/b")[10:] + get("/now/c"))
        assert await bodies(client, 3) == [b"a", b"b", b"c"]
        assert served.order == ["a", "b", "c"]


async def test_a_request_completed_between_two_answers_does_not_overtake() -> None:
    async with rig() as (served, client):
        post = request_bytes("POST", "/echo", b"third")
        await client.send(get("/held/a") + get("/now/b") + post[:-2])
        exchange = await served.hold("a")
        (connection,) = served.server.connections
        exchange.respond(200, b"a")
        connection.data_received(post[-2:] + get("/now/d"))
        assert await bodies(client, 4) == [b"a", b"b", b"third", b"d"]
        assert served.order == ["a", "b", "d"]


async def test_a_partial_request_behind_a_slow_one_is_completed_later() -> None:
    async with rig() as (served, client):
        second = request_bytes("POST", "/echo", chunks=[b"hello ", b"world"])
        await client.send(get("/held/a") + second[:-20])
        exchange = await served.hold("a")
        exchange.respond(200, b"a")
        assert await bodies(client, 1) == [b"a"]
        await client.send(second[-20:] + get("/now/c"))
        assert await bodies(client, 2) == [b"hello world", b"c"]


async def test_a_client_that_does_not_read_is_not_answered_without_bound() -> None:
    async with rig() as (served, client):
        sending = asyncio.ensure_future(client.send(get("/big") * 600))  # 60 MB of answers
        (connection,) = await _connections(served)
        await until(lambda: connection.is_write_paused)
        before = -1
        while before != len(served.order):  # until it stands still
            before = len(served.order)
            for _ in range(50):
                await asyncio.sleep(0)
        assert connection.transport.get_write_buffer_size() < 200_000
        assert len(served.order) < 600
        for _ in range(600):
            assert len((await client.answer()).body) == 100_000
        await sending


async def _connections(served: Rig) -> list[Any]:
    await until(lambda: bool(served.server.connections))
    return list(served.server.connections)


async def test_many_pipelined_requests_do_not_grow_the_stack() -> None:
    async with rig() as (served, client):
        await client.send(get("/held/a"))
        first = await served.hold("a")
        await client.send(get("/now/b") * 1500)
        first.respond(200, b"a")
        assert await bodies(client, 1501) == [b"a"] + [b"b"] * 1500


async def test_earlier_pipelined_requests_are_answered_before_a_refusal() -> None:
    async with rig() as (served, client):
        await client.send(get("/held/a") + get("/now/b") + b"garbage\r\n\r\n")
        (await served.hold("a")).respond(200, b"a")
        assert await bodies(client, 2) == [b"a", b"b"]
        rest = await client.read_to_end()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400")


async def test_a_proxied_pipeline_cut_in_two_at_every_byte() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            await peer.respond(200, {"n": request.json()["n"]})

    wire = get("/health") + chat_request(n=1) + get("/nope") + chat_request(n=2)
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.request("GET", "/health")
            (connection,) = gateway.server.connections
            for cut in range(1, len(wire)):
                connection.data_received(wire[:cut])
                connection.data_received(wire[cut:])
                answers = [await client.answer() for _ in range(4)]
                assert [answer.status for answer in answers] == [200, 200, 404, 200]
                assert answers[1].json() == {"n": 1}
                assert answers[3].json() == {"n": 2}


# -- bodies ---------------------------------------------------------------------------------------


async def test_a_chunked_body_cut_in_two_at_every_byte() -> None:
    body = json.dumps(chat(text="é€")).encode()
    wire = request_bytes(
        "POST",
        CHAT,
        chunks=[body[:1], body[1:17], body[17:]],
        headers={"Content-Type": "application/json"},
    )
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.request("GET", "/health")
            (connection,) = gateway.server.connections
            for cut in range(1, len(wire)):
                connection.data_received(wire[:cut])
                connection.data_received(wire[cut:])
                assert (await client.answer()).status == 200
        assert [request.body for request in worker.requests] == [body] * (len(wire) - 1)
        assert all(r.header("transfer-encoding") is None for r in worker.requests)


async def test_a_request_sent_byte_by_byte() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send_in_pieces(chat_request(), 1)
            assert (await client.answer()).status == 200
        assert worker.requests[0].json() == chat()


async def test_chunk_extensions_and_trailers_are_dropped() -> None:
    body = json.dumps(chat()).encode()
    wire = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b'%x;name="v;\\"x"\r\n%b\r\n0\r\nX-Late: 1\r\nHost: y\r\n\r\n'
        % (len(body), body)
    )
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(wire)
            assert (await client.answer()).status == 200
            assert (await client.request("GET", "/health")).body == b"OK"
        assert worker.requests[0].body == body
        assert worker.requests[0].header("x-late") is None


async def test_expect_continue_is_answered_before_the_body() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            wire = request_bytes("POST", CHAT, chat(), {"Expect": "100-continue"})
            head, _, body = wire.partition(b"\r\n\r\n")
            await client.send(head + b"\r\n\r\n")
            assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(body)
            assert (await client.answer()).status == 200
        assert worker.requests[0].header("expect") is None


async def test_expect_continue_of_a_refused_request_is_not_invited() -> None:
    """The client waits for us: the answer must come without the body, small or large."""
    async with Gateway(max_payload_size=1000) as gateway:
        for path, status in ((CHAT, 413), ("/nope", 404)):
            async with await gateway.connect() as client:
                await client.send(
                    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n"
                    b"Expect: 100-continue\r\n\r\n" % path.encode()
                )
                head = await client.read_head(skip_continue=False)
                assert head.status == status
                assert head.header("connection") == "close"


async def test_expect_continue_behind_another_request() -> None:
    async with rig() as (served, client):
        post = request_bytes("POST", "/echo", b"body", {"Expect": "100-continue"})
        await client.send(get("/held/a") + post[:-4])
        (await served.hold("a")).respond(200, b"a")
        assert await bodies(client, 1) == [b"a"]
        assert (await client.read_head(skip_continue=False)).status == 100
        await client.send(post[-4:])
        assert await bodies(client, 1) == [b"body"]


# -- HTTP/1.0, HEAD, methods, targets -------------------------------------------------------------


async def test_http_1_0_sized_answer_then_close() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            answer = await client.request("POST", CHAT, chat(), version="1.0")
            assert answer.status == 200
            assert answer.header("content-length") is not None
            assert await client.read_to_end() == b""


async def test_http_1_0_needs_no_host() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        await client.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert (await client.answer()).body == b"OK"
        assert await client.read_to_end() == b""


async def test_http_1_0_gets_a_stream_without_chunk_framing() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event("a")
        await peer.send_event("b")
        await peer.end_stream()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True), version="1.0"))
            head = await client.read_head()
            assert head.header("transfer-encoding") is None
            assert head.header("connection") == "close"
            assert await client.read_to_end() == b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"
        await nothing_left(gateway)


async def test_head_equals_get_without_the_body() -> None:
    volatile = {"x-request-id", "content-length", "date"}
    async with SimWorker() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        table = gateway.server.table
        paths = [e.route.path for e in table.endpoints if e.route.method == "GET"]
        static = [path for path in paths if "{" not in path] + ["/v1/models/sim", "/v1/models/no"]
        assert len(static) > 8
        async with await gateway.connect() as client:
            for path in static:
                answer = await client.request("GET", path)
                head = await client.request("HEAD", path)
                assert head.body == b""
                assert head.status == answer.status, path
                kept = [[h for h in a.head.headers if h[0] not in volatile] for a in (answer, head)]
                assert kept[0] == kept[1], path
                assert (answer.header("content-length") is None) == (
                    head.header("content-length") is None
                )
            # the connection is in step after all these
            assert (await client.request("GET", "/health")).body == b"OK"


async def test_unknown_path_is_404_json_with_an_id() -> None:
    async with Gateway() as gateway:
        for target in ("/nope", "/health/", "/api/v2/generate", "//health", "/v1/models//"):
            answer = await gateway.request("POST" if "api" in target else "GET", target)
            assert answer.status == 404, target
            assert answer.json()["error"]["type"] == "invalid_request_error"
            assert answer.header("content-type") == "application/json"
            assert (answer.header("x-request-id") or "").startswith("req-")
        assert (await gateway.get("/nope")).json()["error"]["code"] == "unknown_url"
        samples = await gateway.metrics()
        assert samples.value("smg_http_responses_total", status_code="404") >= 5 or (
            samples.value("smg_http_responses_total", status="404") >= 5
        )


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("GET", "/generate", "POST"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("PATCH", "/v1/models/a/b", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("OPTIONS", CHAT, "POST"),
        ("PUT", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
    ],
)
async def test_wrong_method_is_405_with_allow(method: str, path: str, allow: str) -> None:
    async with Gateway(api_key="secret") as gateway:
        answer = await gateway.request(method, path)
        assert answer.status == 405
        assert answer.header("allow") == allow
        assert answer.json()["error"]["code"] == "method_not_allowed"
        assert answer.header("x-request-id")
        assert answer.header("access-control-allow-origin") is None


async def test_a_refused_request_with_a_small_body_keeps_the_connection() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        answer = await client.request("POST", "/nope", b"x" * 1000)
        assert answer.status == 404
        assert (await client.request("GET", "/health")).body == b"OK"


async def test_a_refused_request_with_a_chunked_body_is_never_half_read() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        smuggled = get("/health")
        await client.send(
            request_bytes("POST", "/nope", headers={"Transfer-Encoding": "chunked"}).replace(
                b"Content-Length: 0\r\n", b""
            )
            + encode_chunks([smuggled])
        )
        assert (await client.answer()).status == 404
        assert await client.read_to_end() == b""


async def test_absolute_form_targets() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            assert (await client.request("GET", "http://gateway.test/health")).body == b"OK"
            answer = await client.request("POST", f"HTTP://gateway.test:80{CHAT}?a=b", chat())
            assert answer.status == 200
            assert worker.requests[0].target == f"{CHAT}?a=b"
            assert (await client.request("GET", "http://gateway.test")).status == 404


async def test_percent_escapes_are_decoded_once_and_do_not_split() -> None:
    async with RawServer(model="org/m%1") as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert (await gateway.get("/v1/models/org/m%251")).json()["id"] == "org/m%1"
        assert (await gateway.get("/v1/models/org%2Fm%251")).json()["id"] == "org/m%1"
        assert (await gateway.get("/v1/models/org/m%1")).status in (200, 404)
        # escapes in a static path are another path
        assert (await gateway.get("/%68ealth")).status == 404
        assert (await gateway.get("/v1/responses/a%2Fcancel")).status != 405


async def test_upgrade_is_ignored() -> None:
    upgrade = {
        "Upgrade": "h2c",
        "Connection": "Upgrade, HTTP2-Settings",
        "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA",
    }
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.get("/health", upgrade)
        assert (answer.status, answer.body) == (200, b"OK")
        answer = await gateway.post(CHAT, chat(), upgrade)
        assert answer.status == 200
        request = worker.requests[0]
        assert request.json() == chat()
        assert request.header("upgrade") is None
        assert request.header("http2-settings") is None
        answer = await gateway.get("/health", {"Upgrade": "websocket", "Connection": "upgrade"})
        assert answer.status == 200
        await nothing_left(gateway)


async def test_bytes_after_an_upgrade_request_are_not_parsed() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            head = request_bytes(
                "GET", "/health", headers={"Upgrade": "x", "Connection": "upgrade"}
            )
            await client.send(head + chat_request())
            answer = await client.answer()
            assert answer.status == 200
            await client.ended()
        assert worker.requests == []
        await nothing_left(gateway)


async def test_connect_is_no_tunnel() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            target = f"127.0.0.1:{worker.port}"
            await client.send(
                f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + chat_request()
            )
            head = await client.read_head()
            assert 400 <= head.status < 500
            await client.ended()
        assert worker.requests == []
        await nothing_left(gateway)


# -- smuggling ------------------------------------------------------------------------------------

_POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_BODY = json.dumps(chat()).encode()
_CHUNKED = encode_chunks([_BODY])
_N = b"%d" % len(_BODY)
_TE = b"Transfer-Encoding: chunked\r\n"

SHAPES = {
    "CL and TE": _POST + b"Content-Length: " + _N + b"\r\n" + _TE + b"\r\n" + _CHUNKED,
    "TE and CL": _POST + _TE + b"Content-Length: " + _N + b"\r\n\r\n" + _CHUNKED,
    "two CL": _POST + b"Content-Length: 5\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "two equal CL": _POST + (b"Content-Length: " + _N + b"\r\n") * 2 + b"\r\n" + _BODY,
    "CL list": _POST + b"Content-Length: " + _N + b", " + _N + b"\r\n\r\n" + _BODY,
    "CL with plus": _POST + b"Content-Length: +" + _N + b"\r\n\r\n" + _BODY,
    "CL negative": _POST + b"Content-Length: -1\r\n\r\n" + _BODY,
    "CL hex": _POST + b"Content-Length: 0x10\r\n\r\n" + _BODY,
    "CL empty": _POST + b"Content-Length:\r\n\r\n" + _BODY,
    "CL huge": _POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + _BODY,
    "CL inner space": _POST + b"Content-Length: 1 0\r\n\r\n" + _BODY,
    "TE gzip": _POST + b"Transfer-Encoding: gzip\r\n\r\n" + _CHUNKED,
    "TE gzip, chunked": _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKED,
    "TE chunked, gzip": _POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + _CHUNKED,
    "TE chunked twice": _POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + _CHUNKED,
    "TE xchunked": _POST + b"Transfer-Encoding: xchunked\r\n\r\n" + _CHUNKED,
    "TE identity": _POST + b"Transfer-Encoding: identity\r\n\r\n" + _CHUNKED,
    "TE empty": _POST + b"Transfer-Encoding:\r\n\r\n" + _CHUNKED,
    "TE vertical tab": _POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + _CHUNKED,
    "TE quoted": _POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + _CHUNKED,
    "TE with space": _POST + b"Transfer-Encoding : chunked\r\n\r\n" + _CHUNKED,
    "TE folded": _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + _CHUNKED,
    "TE in 1.0": _POST.replace(b"1.1", b"1.0") + _TE + b"\r\n" + _CHUNKED,
    "two TE": _POST + _TE + b"Transfer-Encoding: identity\r\n\r\n" + _CHUNKED,
    "TE gzip, then TE": _POST + b"Transfer-Encoding: gzip\r\n" + _TE + b"\r\n" + _CHUNKED,
    "TE empty, then TE": _POST + b"Transfer-Encoding:\r\n" + _TE + b"\r\n" + _CHUNKED,
    "TE x, then TE": _POST + b"Transfer-Encoding: x\r\n" + _TE + b"\r\n" + _CHUNKED,
    "TE twice": _POST + _TE * 2 + b"\r\n" + _CHUNKED,
    "TE in 1.0, kept": _POST.replace(b"1.1", b"1.0")
    + b"Connection: keep-alive\r\n"
    + _TE
    + b"\r\n"
    + _CHUNKED,
    "folded": _POST + b"X-A: b\r\n c\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "folded first": _POST.replace(b"Host: x\r\n", b" X: y\r\nHost: x\r\n") + b"\r\n",
    "nameless": _POST + b": value\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "no colon": _POST + b"Just words\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "name with space": _POST + b"X A: b\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "NUL in value": _POST + b"X-A: b\0c\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "NUL in name": _POST + b"X\0A: b\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "bare CR": _POST + b"X-A: b\rX-B: c\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "bare LF": _POST + b"X-A: b\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "all bare LF": (_POST + b"Content-Length: " + _N + b"\r\n\r\n").replace(b"\r\n", b"\n") + _BODY,
    "two Hosts": _POST + b"Host: y\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "two equal Hosts": _POST + b"Host: x\r\nContent-Length: " + _N + b"\r\n\r\n" + _BODY,
    "Host with path": _POST.replace(b": x", b": x/y") + b"Content-Length: 0\r\n\r\n",
    "Host with space": _POST.replace(b": x", b": x y") + b"Content-Length: 0\r\n\r\n",
    "Host with user": _POST.replace(b": x", b": a@b") + b"Content-Length: 0\r\n\r\n",
    "no Host": _POST.replace(b"Host: x\r\n", b"") + b"Content-Length: " + _N + b"\r\n\r\n" + _BODY,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "HTTP/2.0": _POST.replace(b"1.1", b"2.0") + b"Content-Length: 0\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.9": _POST.replace(b"1.1", b"1.9") + b"Content-Length: 0\r\n\r\n",
    "HTTP/11": _POST.replace(b"1.1", b"11") + b"Content-Length: 0\r\n\r\n",
    "lower-case http": _POST.replace(b"HTTP", b"http") + b"Content-Length: 0\r\n\r\n",
    "space before method": b" " + _POST + b"Content-Length: " + _N + b"\r\n\r\n" + _BODY,
    "tab in target": _POST.replace(b"/v1", b"/\tv1") + b"Content-Length: 0\r\n\r\n",
    "unknown method": _POST.replace(b"POST", b"FROBNICATE") + b"Content-Length: 0\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "chunk size sign": _POST + _TE + b"\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x": _POST + _TE + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": _POST + _TE + b"\r\n\r\nhello\r\n0\r\n\r\n",
    "chunk size huge": _POST + _TE + b"\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk size space": _POST + _TE + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
    "chunk longer": _POST + _TE + b"\r\n5\r\nhello!!\r\n0\r\n\r\n",
    "chunk bare LF": _POST + _TE + b"\r\n%x\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY),
    "chunk data LF": _POST + _TE + b"\r\n%x\r\n%b\n0\r\n\r\n" % (len(_BODY), _BODY),
    "extension CR": _POST + _TE + b"\r\n%x;a\rb\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY),
    "extension LF": _POST + _TE + b"\r\n%x;a\nb\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY),
}
_OTHER_VERSION = ("HTTP/2.0", "HTTP/1.9", "HTTP/2 preface", "HTTP/0.9")


@pytest.mark.parametrize("name", SHAPES)
async def test_a_malformed_request_is_refused_and_reaches_nobody(name: str) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(SHAPES[name] + chat_request())
            try:
                answer = await client.answer()
            except (ClosedEarly, ConnectionResetError) as error:
                raise AssertionError(f"no answer: {error!r}") from None
            assert answer.status in ((400, 505) if name in _OTHER_VERSION else (400,)), answer
            assert answer.json()["error"]["type"] == (
                "server_error" if answer.status == 505 else "invalid_request_error"
            )
            assert answer.header("connection") == "close"
            assert answer.header("x-request-id")
            assert await client.read_to_end() == b""
        assert worker.requests == []
        await nothing_left(gateway)


@pytest.mark.parametrize("name", ["CL and TE", "two Hosts", "bare CR", "TE xchunked", "folded"])
async def test_a_malformed_request_behind_good_ones_reaches_nobody(name: str) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(get("/health") + chat_request(n=1) + SHAPES[name] + chat_request(n=3))
            assert (await client.answer()).body == b"OK"
            assert (await client.answer()).status == 200
            rest = await client.read_to_end()
            assert rest == b"" or rest.startswith(b"HTTP/1.1 400")
            assert rest.count(b"HTTP/1.1 ") <= 1
        assert [request.json()["n"] for request in worker.requests] == [1]
        await nothing_left(gateway)


async def test_empty_lines_before_a_request_are_skipped() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        await client.send(b"\r\n\r\n" + get("/health"))
        assert (await client.answer()).body == b"OK"
        await client.send(b"\r\n" + get("/health"))
        assert (await client.answer()).body == b"OK"


async def test_nothing_is_answered_after_a_refusal() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        await client.send(b"GARBAGE\r\n\r\n")
        assert (await client.answer()).status == 400
        await client.send(get("/health"))
        assert await client.read_to_end() == b""


# -- many -----------------------------------------------------------------------------------------


async def test_a_burst_of_five_hundred_connections() -> None:
    async with RawServer(echo_chat) as worker, Gateway(worker_urls=[worker.url]) as gateway:

        async def one(number: int) -> int:
            async with await gateway.connect() as client:
                await send_chat(client, n=number)
                return (await client.answer()).status

        statuses = await asyncio.gather(*(one(number) for number in range(1, 501)))
        assert statuses == [200] * 500
        assert sorted(r.json()["n"] for r in worker.requests) == list(range(1, 501))
        await nothing_left(gateway)
