"""Cross-origin answers: none by default, echoed for listed origins, `*` on request."""

from __future__ import annotations

from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, chat

GOOD, BAD = "https://app.example", "https://evil.example"
PREFLIGHT = {"Origin": GOOD, "Access-Control-Request-Method": "POST"}


def cors(answer: Answer) -> dict[str, str]:
    return {n: v for n, v in answer.head.headers if n.startswith("access-control-")}


async def test_by_default_there_is_no_cors_header_at_all() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for answer in (
            await gateway.request("OPTIONS", CHAT, None, PREFLIGHT),
            await gateway.get("/health", {"Origin": GOOD}),
            await gateway.post(CHAT, chat(), {"Origin": GOOD}),
        ):
            assert cors(answer) == {}
        assert (await gateway.request("OPTIONS", CHAT, None, PREFLIGHT)).status == 405


async def test_any_origin() -> None:
    config: dict[str, Any] = {"cors_allowed_origins": ("*",), "api_key": "secret"}
    async with Gateway(**config) as gateway:
        answer = await gateway.request("OPTIONS", CHAT, None, PREFLIGHT)
        assert (answer.status, answer.body) == (200, b"")
        assert cors(answer) == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "*",
            "access-control-allow-headers": "*",
            "access-control-expose-headers": "*",
            "access-control-max-age": "3600",
        }
        assert answer.header("x-request-id")
        # without an origin too: any OPTIONS on a known path
        assert (await gateway.request("OPTIONS", "/health")).status == 200
        assert (await gateway.request("OPTIONS", "/nope")).status == 404


async def test_listed_origins_are_echoed_and_others_are_not() -> None:
    config: dict[str, Any] = {"cors_allowed_origins": (GOOD, "http://localhost:3000")}
    async with RawServer() as worker, Gateway(worker_urls=[worker.url], **config) as gateway:
        answer = await gateway.request("OPTIONS", CHAT, None, PREFLIGHT)
        assert answer.status == 200
        assert answer.header("access-control-allow-origin") == GOOD
        methods = (answer.header("access-control-allow-methods") or "").split(",")
        assert {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} <= set(methods)
        allowed = (answer.header("access-control-allow-headers") or "").split(",")
        assert {"content-type", "authorization", "x-api-key", "x-request-id"} <= set(allowed)
        assert answer.header("access-control-max-age") == "3600"
        assert answer.header("access-control-allow-credentials") is None

        answer = await gateway.request("OPTIONS", CHAT, None, {"Origin": BAD})
        assert answer.status == 200
        assert cors(answer) == {}
        assert answer.header("vary") == "origin"

        answer = await gateway.post(CHAT, chat(), {"Origin": GOOD})
        assert cors(answer) == {
            "access-control-allow-origin": GOOD,
            "access-control-expose-headers": "x-request-id",
        }
        assert answer.header("vary") == "origin"
        assert cors(await gateway.post(CHAT, chat(), {"Origin": BAD})) == {}
        assert cors(await gateway.post(CHAT, chat())) == {}


async def test_errors_carry_cors_headers_too() -> None:
    config: dict[str, Any] = {
        "cors_allowed_origins": (GOOD,),
        "api_key": "secret",
        "max_payload_size": 10,
    }
    origin = {"Origin": GOOD}
    async with Gateway(**config) as gateway:
        answers = [
            await gateway.get("/nope", origin),
            await gateway.request("PUT", CHAT, None, origin),
            await gateway.post(CHAT, b"{}", origin),
            await gateway.post(CHAT, b"x" * 20, {**origin, "Authorization": "Bearer secret"}),
        ]
        assert [answer.status for answer in answers] == [404, 405, 401, 413]
        for answer in answers:
            assert answer.header("access-control-allow-origin") == GOOD


async def test_a_stream_carries_cors_headers() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.end_stream()

    config: dict[str, Any] = {"cors_allowed_origins": (GOOD,)}
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url], **config) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True), {"Origin": GOOD})
        assert answer.header("access-control-allow-origin") == GOOD
        assert answer.events() == ["[DONE]"]
