"""Keys: who may call what, and whose credential a worker sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import RawServer
from tests.doubles.traffic import CHAT, chat

KEY = "gateway-key"

CREDENTIALS = {
    "bearer": {"Authorization": f"Bearer {KEY}"},
    "bearer in lower case": {"Authorization": f"bearer {KEY}"},
    "x-api-key": {"X-Api-Key": KEY},
    "api-key": {"Api-Key": KEY},
    "x-goog-api-key": {"X-Goog-Api-Key": KEY},
}
WRONG = {
    "nothing": {},
    "wrong": {"Authorization": "Bearer nope"},
    "prefix": {"Authorization": f"Bearer {KEY[:-1]}"},
    "longer": {"Authorization": f"Bearer {KEY}x"},
    "basic": {"Authorization": f"Basic {KEY}"},
    "no scheme": {"Authorization": KEY},
    "empty": {"Authorization": "Bearer "},
    "other case": {"Authorization": f"Bearer {KEY.upper()}"},
    "in a cookie": {"Cookie": KEY},
}


def sent_to(worker: RawServer) -> list[str]:
    """Every byte that went to the worker's model routes, by request."""
    return [request.raw_head.decode("latin-1") for request in worker.requests]


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_the_key_admits_and_is_never_forwarded(name: str) -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], api_key=KEY) as gateway:
            answer = await gateway.post(CHAT, chat(), CREDENTIALS[name])
            assert answer.status == 200
        request = worker.requests[0]
        # workers given at start-up have the gateway's key as theirs (http-api 5.1)
        got = [value for key, value in request.headers if key == "authorization"]
        assert got in ([], [f"Bearer {KEY}"])
        assert request.header("x-api-key") is None


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_the_worker_gets_its_own_key_instead(name: str) -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], api_key=KEY) as gateway:
            for known in gateway.registry.all():
                known.api_key = "worker-key"
                known.transport = None
            assert (await gateway.post(CHAT, chat(), CREDENTIALS[name])).status == 200
        (head,) = sent_to(worker)
        assert head.count("worker-key") == 1
        assert "authorization: Bearer worker-key\r\n" in head
        assert KEY not in head


async def test_the_key_is_not_forwarded_even_when_its_header_is_listed() -> None:
    listed = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
    async with RawServer() as worker:
        config: dict[str, Any] = {"worker_urls": [worker.url], "forward_request_headers": listed}
        async with Gateway(**config, api_key=KEY) as gateway:
            for known in gateway.registry.all():
                known.api_key = "worker-key"
                known.transport = None
            for credential in CREDENTIALS.values():
                assert (await gateway.post(CHAT, chat(), credential)).status == 200
        assert len(worker.requests) == len(CREDENTIALS)
        assert not any(KEY in head for head in sent_to(worker))


@pytest.mark.parametrize("name", WRONG)
async def test_without_the_key_nothing_reaches_a_worker(name: str) -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], api_key=KEY) as gateway:
            answer = await gateway.post(CHAT, chat(), WRONG[name])
            assert answer.status == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.json()["error"]["type"] == "invalid_request_error"
            assert answer.header("www-authenticate") == "Bearer"
            assert answer.header("x-request-id")
            assert KEY.encode() not in answer.body
        assert worker.requests == []


async def test_the_body_is_not_looked_at_before_the_key() -> None:
    async with Gateway(api_key=KEY) as gateway, await gateway.connect() as client:
        answer = await client.request("POST", CHAT, b"not json")
        assert answer.status == 401
        assert (await client.request("GET", "/health")).status == 200  # the body was drained
        await client.send(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" % CHAT.encode()
        )
        assert (await client.answer()).status == 401  # the body never came
        assert await client.read_to_end() == b""


@pytest.mark.parametrize(
    "path", ["/health", "/liveness", "/readiness", "/v1/models", "/get_model_info"]
)
async def test_public_routes_need_no_key(path: str) -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], api_key=KEY) as gateway:
            assert (await gateway.get(path)).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/engine_metrics"),
        ("POST", "/flush_cache"),
        ("GET", "/get_loads"),
        ("POST", "/v1/conversations"),
        ("GET", "/v1/responses/resp_1"),
        ("HEAD", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ],
)
async def test_every_other_route_needs_it(method: str, path: str) -> None:
    async with Gateway(api_key=KEY) as gateway:
        assert (await gateway.request(method, path)).status == 401
        wrong = await gateway.request(method, path, None, CREDENTIALS["bearer"])
        assert wrong.status not in (401, 403)


async def test_every_route_of_the_table_is_classified() -> None:
    """Only this list is open; a new route is closed until somebody says otherwise."""
    open_paths = {
        "/health",
        "/liveness",
        "/readiness",
        "/health_generate",
        "/v1/models",
        "/v1/models/{model_id:rest}",
        "/get_model_info",
        "/model_info",
        "/get_server_info",
        "/server_info",
    }
    async with Gateway(api_key=KEY) as gateway:
        for endpoint in gateway.server.table.endpoints:
            closed = endpoint.auth.name != "PUBLIC"
            assert closed == (endpoint.route.path not in open_paths), endpoint.route.path


async def test_without_gateway_keys_the_callers_credential_wins() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for known in gateway.registry.all():
            known.api_key = "worker-key"
            known.transport = None
        await gateway.post(CHAT, chat(), {"Authorization": "Bearer caller"})
        await gateway.post(CHAT, chat())
        await gateway.post(CHAT, chat(), {"Authorization": "Basic eDp5"})
        seen = [
            [value for name, value in request.headers if name == "authorization"]
            for request in worker.requests
        ]
        assert seen == [["Bearer caller"], ["Bearer worker-key"], ["Basic eDp5"]]


async def test_the_metrics_port_does_not_show_keys() -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], api_key=KEY) as gateway:
            await gateway.post(CHAT, chat(), CREDENTIALS["bearer"])
            assert KEY not in (await gateway.metrics()).text
