"""Keys: who may call what, and whose credential a worker sees (external-security-wasm 8 and 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, MESSAGES, chat

KEY = "gateway-key"
TENANT, ADMIN, USER = "tenant-key-1", "admin-key-1", "user-key-1"
OPERATORS = (("ops", "Ops Team", ADMIN, "admin"), ("view", "Viewer", USER, "user"))

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
        "/console",  # the page alone; its data is for the control plane
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


# -- the matrix: which key opens what -------------------------------------------------------------

CONFIGS: dict[str, dict[str, Any]] = {
    "none": {},
    "shared": {"api_key": KEY},
    "tenants": {"tenant_api_key": (f"acme:{TENANT}",)},
    "shared, tenants": {"api_key": KEY, "tenant_api_key": (f"acme:{TENANT}",)},
    "control": {"control_plane_api_keys": OPERATORS},
    "control, shared": {"control_plane_api_keys": OPERATORS, "api_key": KEY},
    "control, tenants": {
        "control_plane_api_keys": OPERATORS,
        "tenant_api_key": (f"acme:{TENANT}",),
    },
}
KEYS = {"nothing": None, "wrong": "nope", "shared": KEY, "tenant": TENANT}
KEYS |= {"admin": ADMIN, "user": USER}
ALL = frozenset(KEYS)
#: who gets through on the data plane, on the control plane, and to the engines' metrics
OPENS: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    "none": (ALL, ALL, ALL),
    "shared": (frozenset({"shared"}),) * 3,
    "tenants": (frozenset({"tenant"}), frozenset(), frozenset({"tenant"})),
    "shared, tenants": (
        frozenset({"shared", "tenant"}),
        frozenset({"shared"}),
        frozenset({"shared", "tenant"}),
    ),
    "control": (ALL, frozenset({"admin"}), ALL),
    "control, shared": (
        frozenset({"shared"}),
        frozenset({"admin"}),
        frozenset({"shared", "admin", "user"}),
    ),
    "control, tenants": (
        frozenset({"tenant"}),
        frozenset({"admin"}),
        frozenset({"tenant", "admin", "user"}),
    ),
}
DATA_ROUTES = (
    ("POST", CHAT),
    ("POST", MESSAGES),
    ("GET", "/v1/responses/r"),
    ("POST", "/generate"),
)
CONTROL_ROUTES = (("POST", "/flush_cache"), ("GET", "/get_loads"), ("HEAD", "/get_loads"))
PUBLIC_ROUTES = ("/health", "/readiness", "/liveness", "/v1/models", "/get_model_info")


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def is_refusal(answer: Answer, *, control: bool = False) -> bool:
    """Whether access was refused; if so, the answer is checked."""
    if answer.status not in (401, 403):
        return False
    codes = {401: "invalid_api_key", 403: "admin_role_required"}
    assert answer.header("x-smg-error-code") == codes[answer.status]
    realm = 'Bearer realm="control-plane"' if control else "Bearer"
    assert answer.header("www-authenticate") == (realm if answer.status == 401 else None)
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-request-id")
    assert not any(key and key in answer.body.decode() for key in KEYS.values())
    return True


@pytest.mark.parametrize("row", CONFIGS)
async def test_the_matrix(row: str) -> None:
    data, control, either = OPENS[row]
    own = "control" in row
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], **CONFIGS[row]) as gateway:
            async with await gateway.connect() as client:
                for name, key in KEYS.items():
                    for method, path in DATA_ROUTES:
                        body = chat(max_tokens=1) if method == "POST" else None
                        answer = await client.request(method, path, body, bearer(key))
                        assert is_refusal(answer) != (name in data), (name, path)
                    for method, path in CONTROL_ROUTES:
                        answer = await client.request(method, path, None, bearer(key))
                        let_in = not is_refusal(answer, control=own)
                        assert let_in == (name in control), (name, path)
                    answer = await client.request("GET", "/engine_metrics", None, bearer(key))
                    assert is_refusal(answer) != (name in either), name
                    for path in PUBLIC_ROUTES:
                        answer = await client.request("GET", path, None, bearer(key))
                        assert answer.status == 200, (name, path)


@pytest.mark.parametrize("row", CONFIGS)
async def test_the_server_asks_only_when_there_are_keys(row: str) -> None:
    async with Gateway(**CONFIGS[row]) as gateway:
        assert (gateway.server.authorize is None) == (row == "none")


@pytest.mark.parametrize("row", CONFIGS)
async def test_paths_that_need_no_key(row: str) -> None:
    """An unknown path and a wrong method say so to everybody; preflights have no credentials."""
    origin = {"Origin": "https://chat.example.com"}
    async with Gateway(**CONFIGS[row], cors_allowed_origins=(origin["Origin"],)) as gateway:
        assert (await gateway.get("/nowhere")).status == 404
        for path in (CHAT, "/flush_cache"):
            assert (await gateway.get(path)).status == 405
            assert (await gateway.request("OPTIONS", path, None, origin)).status == 200


@pytest.mark.parametrize("place", ["x-api-key", "api-key", "x-goog-api-key"])
async def test_where_a_key_may_stand(place: str) -> None:
    """Data-plane keys in any of them; control-plane keys as a bearer token only."""
    async with Gateway(**CONFIGS["control, tenants"]) as gateway:
        assert not is_refusal(await gateway.post(CHAT, chat(), {place: TENANT}))
        assert is_refusal(await gateway.post(CHAT, chat(), {place: TENANT + "x"}))
        assert is_refusal(await gateway.post(CHAT, chat(), {place: f"acme:{TENANT}"}))
        assert is_refusal(await gateway.get("/get_loads", {place: ADMIN}), control=True)
        assert is_refusal(await gateway.get("/engine_metrics", {place: ADMIN}))
        both = {"Authorization": f"bearer {ADMIN}", place: "foreign"}
        assert not is_refusal(await gateway.get("/get_loads", both), control=True)


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        (None, 401, "Missing or invalid Authorization header"),
        (ADMIN, 401, "Missing or invalid Authorization header"),
        (f"Basic {ADMIN}", 401, "Missing or invalid Authorization header"),
        ("Bearer ", 401, "Missing or invalid Authorization header"),
        (f"Bearer {ADMIN[:-1]}", 401, "Invalid authentication token"),
        (f"Bearer {ADMIN}x", 401, "Invalid authentication token"),
        (f"Bearer {'x' * 20_000}", 401, "Invalid authentication token"),
        (f"Bearer {USER}", 403, "Admin role required for control plane access"),
    ],
)
async def test_what_a_refusal_on_the_control_plane_says(
    value: str | None, status: int, message: str
) -> None:
    headers = {} if value is None else {"Authorization": value}
    async with Gateway(**CONFIGS["control"]) as gateway:
        answer = await gateway.post("/flush_cache", b"", headers)
        assert is_refusal(answer, control=True)
        codes = {401: "invalid_api_key", 403: "admin_role_required"}
        assert answer.status == status
        assert answer.json() == {
            "error": {
                "type": "invalid_request_error",
                "code": codes[status],
                "message": message,
                "param": None,
            }
        }


async def test_two_authorization_headers_are_none() -> None:
    both = [("Authorization", f"Bearer {ADMIN}"), ("Authorization", f"Bearer {ADMIN}")]
    async with Gateway(**CONFIGS["control"]) as gateway:
        assert is_refusal(await gateway.get("/get_loads", both), control=True)


async def test_head_has_the_status_and_no_body() -> None:
    async with Gateway(**CONFIGS["control, shared"]) as gateway:
        for path in ("/get_loads", "/v1/responses/r", "/engine_metrics"):
            answer = await gateway.request("HEAD", path)
            assert (answer.status, answer.body) == (401, b"")
        answer = await gateway.request("HEAD", "/get_loads", None, bearer(USER))
        assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize("row", ["shared", "tenants", "control, shared"])
async def test_the_messages_api_has_errors_of_its_own(row: str) -> None:
    message = "Invalid or missing API key"
    async with Gateway(**CONFIGS[row]) as gateway:
        answer = await gateway.post(MESSAGES, {}, {"X-Api-Key": "nope"})
        assert is_refusal(answer)
        error = {"type": "authentication_error", "message": message}
        assert answer.json() == {"type": "error", "error": error}
        answer = await gateway.post(CHAT, {}, {"X-Api-Key": "nope"})
        assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("row", "trusted"),
    [
        ("none", ALL),
        ("shared", {"shared"}),
        ("tenants", {"tenant"}),
        ("control", {"admin", "user"}),
        ("control, tenants", {"tenant", "admin", "user"}),
    ],
)
async def test_whom_the_info_routes_tell_everything(row: str, trusted: frozenset[str]) -> None:
    info = {"version": "1", "server_args": {"api_key": "engine-key"}, "url": "http://w"}

    async def engine(peer: Peer) -> None:
        while True:
            about = (await peer.read_request()).target == "/server_info"
            await peer.respond(200, info if about else {"data": [{"id": "test-model"}]})

    async with RawServer(engine, answer_probes=False) as worker:
        async with Gateway(worker_urls=[worker.url], **CONFIGS[row]) as gateway:
            for name, key in KEYS.items():
                answer = await gateway.get("/server_info", bearer(key))
                whole = answer.json() == info
                assert whole == (name in trusted), name
                assert whole or answer.json() == {"version": "1"}


# -- what a worker sees ---------------------------------------------------------------------------

LISTED = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


@pytest.mark.parametrize("row", CONFIGS)
async def test_no_key_of_the_gateway_reaches_a_worker(row: str) -> None:
    """Wherever it stands, and beside a key that opens the data plane."""
    config = CONFIGS[row]
    keys = {
        "shared": KEY if "shared" in row else None,
        "tenant": TENANT if "tenants" in row else None,
        "admin": ADMIN if "control" in row else None,
        "user": USER if "control" in row else None,
    }
    own = [key for key in keys.values() if key is not None]
    entry = keys["shared"] or keys["tenant"]
    async with RawServer() as worker:
        more: dict[str, Any] = {"worker_urls": [worker.url], "forward_request_headers": LISTED}
        async with Gateway(**more, **config) as gateway:
            for known in gateway.registry.all():
                known.api_key = "worker-key"
                known.transport = None
            sent = 0
            for key in own:
                for place in LISTED:
                    headers = [("X-Foreign", "1")]
                    headers.append((place, f"Bearer {key}" if place == "authorization" else key))
                    if entry is not None:
                        headers.append(("x-goog-api-key", entry))
                    assert (await gateway.post(CHAT, chat(), headers)).status == 200
                    sent += 1
        heads = sent_to(worker)
        assert len(heads) == sent
        for head in heads:
            assert not any(key in head for key in own)
            assert head.count("authorization: Bearer worker-key\r\n") == 1


async def test_with_control_plane_keys_alone_the_callers_own_key_still_wins() -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], **CONFIGS["control"]) as gateway:
            for known in gateway.registry.all():
                known.api_key = "worker-key"
                known.transport = None
            await gateway.post(CHAT, chat(), bearer("caller"))
            await gateway.post(CHAT, chat(), bearer(ADMIN))
        seen = [request.header("authorization") for request in worker.requests]
        assert seen == ["Bearer caller", "Bearer worker-key"]
