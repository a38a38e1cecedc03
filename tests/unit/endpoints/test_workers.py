"""The worker API over a recorded service: answers, errors, and what reaches the service."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from smg.core import ids
from smg.core.errors import AdminError
from smg.endpoints import routes
from smg.endpoints.workers import WorkerHandlers
from smg.server import HttpServer
from smg.workers import Worker, WorkerPatch, WorkerSpec
from smg.workers.info import listing, worker_info
from tests.doubles.exchange import FakeExchange
from tests.doubles.raw_client import RawClient

ID = "0198c0de-0000-7000-8000-00000000000a"
URL = "http://10.0.0.5:8000"
SECRET = "sk-very-secret"


class Service:
    """Writes down what is asked of it; raises `error` instead if one is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: AdminError | None = None

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def create(self, spec: WorkerSpec) -> str:
        self._called("create", spec)
        return ID

    def patch(self, worker_id: str, patch: WorkerPatch) -> None:
        self._called("patch", worker_id, patch)

    def replace(self, worker_id: str, spec: WorkerSpec) -> None:
        self._called("replace", worker_id, spec)

    def remove(self, worker_id: str) -> None:
        self._called("remove", worker_id)

    def info(self, worker_id: str) -> dict[str, Any]:
        self._called("info", worker_id)
        return worker_info(Worker(URL, id=worker_id, api_key=SECRET))

    def listing(self, model: str | None) -> dict[str, Any]:
        self._called("listing", model)
        return listing([Worker(URL, id=ID, api_key=SECRET)])


class World:
    """Handlers over a service."""

    def __init__(self) -> None:
        self.service = Service()
        self.handlers = WorkerHandlers(self.service)

    async def call(
        self, name: str, worker_id: str = ID, body: Any = b"", query: bytes = b""
    ) -> tuple[int, Any]:
        exchange: Any = FakeExchange(params={"worker_id": worker_id}, query=query)
        exchange.body = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = await getattr(self.handlers, name)(exchange)
        self.headers = dict(answer.headers)
        return answer.status, orjson.loads(answer.body)

    async def refused(self, name: str, *arguments: Any, **more: Any) -> AdminError:
        with pytest.raises(AdminError) as caught:
            await self.call(name, *arguments, **more)
        return caught.value


async def test_post() -> None:
    w = World()
    body = {"url": "http://10.0.0.5:8000/v1/", "model_id": "m", "api_key": SECRET}
    assert await w.call("create", body=body) == (
        202,
        {
            "status": "accepted",
            "worker_id": ID,
            "url": URL,
            "location": f"/workers/{ID}",
            "message": "Worker addition queued for background processing",
        },
    )
    assert w.headers == {b"location": f"/workers/{ID}".encode()}
    ((_, spec),) = w.service.calls
    assert (spec.url, spec.models[0].id, spec.api_key) == (URL, "m", SECRET)


@pytest.mark.parametrize("url", ["10.0.0.5:8000", "HTTP://10.0.0.5:8000"])
async def test_nothing_is_reserved_for_a_bad_address(url: str) -> None:
    w = World()
    error = await w.refused("create", body={"url": url})
    assert (error.status, error.code) == (400, "BAD_REQUEST")
    assert w.service.calls == []


async def test_get() -> None:
    w = World()
    status, body = await w.call("show")
    assert (status, body["id"], body["url"]) == (200, ID, URL)
    assert SECRET not in str(body)
    status, body = await w.call("listing")
    assert (status, body["total"], body["workers"][0]["id"]) == (200, 1, ID)
    assert SECRET not in str(body)
    assert w.service.calls == [("info", ID), ("listing", None)]


@pytest.mark.parametrize(
    ("query", "model"),
    [
        (b"model=m", "m"),
        (b"x=1&model=acme%2Fllm-8b", "acme/llm-8b"),
        (b"model=%C3%A9", "é"),
        (b"model=", ""),
        (b"model", ""),
        (b"models=m", None),
        (b"", None),
        (b"%ff=%ff&&=;", None),
    ],
)
async def test_the_listing_of_a_model(query: bytes, model: str | None) -> None:
    w = World()
    assert (await w.call("listing", query=query))[0] == 200
    assert w.service.calls == [("listing", model)]


async def test_changes_are_accepted() -> None:
    w = World()
    update = {
        "status": "accepted",
        "worker_id": ID,
        "message": "Worker update queued for background processing",
    }
    assert await w.call("patch", body={"labels": {"b": "2"}}) == (202, update)
    assert await w.call("replace", body={"url": URL, "priority": 1}) == (202, update)
    assert await w.call("replace", body={"priority": 100}) == (202, update)
    message = "Worker removal queued for background processing"
    assert await w.call("remove") == (202, {**update, "message": message})
    assert w.service.calls == [
        ("patch", ID, WorkerPatch(labels={"b": "2"})),
        ("replace", ID, WorkerSpec(url=URL, priority=1)),
        ("patch", ID, WorkerPatch(priority=100)),
        ("remove", ID),
    ]


@pytest.mark.parametrize("name", ["show", "replace", "patch", "remove"])
@pytest.mark.parametrize("worker_id", ["not-a-uuid", "1", ID + "0", ID[:-1] + "g", "x" * 500])
async def test_an_id_is_a_uuid(name: str, worker_id: str) -> None:
    w = World()
    error = await w.refused(name, worker_id, {})
    assert (error.status, error.code) == (400, "BAD_REQUEST")
    assert len(error.message) < 100
    assert w.service.calls == []


async def test_ids_in_either_case() -> None:
    w = World()
    assert (await w.call("show", ID.upper()))[0] == 200
    assert w.service.calls == [("info", ID)]


@pytest.mark.parametrize("name", ["create", "replace", "patch"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"url":1,"priority":"x"}'])
async def test_bodies_are_checked_first(name: str, body: bytes) -> None:
    w = World()
    assert (await w.refused(name, body=body)).status == 400
    assert w.service.calls == []


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("create", {"url": URL}, 409, "WORKER_ALREADY_EXISTS"),
        ("create", {"url": URL}, 503, "JOB_QUEUE_FULL"),
        ("show", b"", 404, "WORKER_NOT_FOUND"),
        ("patch", {}, 404, "WORKER_NOT_FOUND"),
        ("replace", {"url": URL}, 400, "BAD_REQUEST"),
        ("remove", b"", 404, "WORKER_NOT_FOUND"),
    ],
)
async def test_what_the_service_refuses(name: str, body: Any, status: int, code: str) -> None:
    w = World()
    w.service.error = AdminError("no", status=status, code=code)
    assert await w.refused(name, body=body) is w.service.error


# Over a socket: routes, methods, headers, the shape of errors


class Site:
    """A server with the whole route table, of which only the worker API answers."""

    def __init__(self) -> None:
        def nothing(*_: Any) -> Any:
            return nothing

        self.service = Service()
        given: dict[str, Any] = {
            field.name: nothing
            for field in dataclasses.fields(routes.Handlers)
            if field.default is dataclasses.MISSING
        }
        handlers = routes.Handlers(**given, workers=WorkerHandlers(self.service))
        self.server = HttpServer(routes.build(handlers))

    async def __aenter__(self) -> Site:
        await self.server.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        pairs = {name.replace("_", "-"): value for name, value in headers.items()}
        async with await RawClient.connect(self.server.port) as client:
            return await client.request(method, path, body, pairs)


async def test_every_method_over_a_socket() -> None:
    async with Site() as site:
        made = await site.ask("POST", "/workers", {"url": URL})
        assert (made.status, made.header("location")) == (202, f"/workers/{ID}")
        assert made.header("content-type") == "application/json"
        one = f"/workers/{ID}"
        assert (await site.ask("GET", "/workers?model=m")).status == 200
        assert (await site.ask("GET", one)).status == 200
        assert (await site.ask("PUT", one, {"url": URL})).status == 202
        assert (await site.ask("PATCH", one, {"priority": 1})).status == 202
        assert (await site.ask("DELETE", one)).status == 202
        called = [call[0] for call in site.service.calls]
        assert called == ["create", "listing", "info", "replace", "patch", "remove"]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
async def test_no_content_type_is_insisted_on(content_type: str) -> None:
    async with Site() as site:
        body = orjson.dumps({"url": URL})
        headers = {"content_type": content_type} if content_type else {}
        assert (await site.ask("POST", "/workers", body, **headers)).status == 202


async def test_the_shape_of_errors() -> None:
    async with Site() as site:
        answer = await site.ask("GET", "/workers/not-a-uuid")
        assert answer.status == 400
        assert list(answer.json()) == ["error", "code"]
        assert answer.json()["code"] == "BAD_REQUEST"
        site.service.error = AdminError("full", status=503, code="JOB_QUEUE_FULL", retry_after=1)
        answer = await site.ask("POST", "/workers", {"url": URL})
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert answer.json() == {"error": "full", "code": "JOB_QUEUE_FULL"}
        site.service.error = AdminError("gone", status=404, code="WORKER_NOT_FOUND")
        answer = await site.ask("DELETE", f"/workers/{ids.uuid7()}")
        assert (answer.status, answer.json()) == (
            404,
            {"error": "gone", "code": "WORKER_NOT_FOUND"},
        )


async def test_other_methods_and_paths() -> None:
    async with Site() as site:
        answer = await site.ask("DELETE", "/workers")
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")
        answer = await site.ask("POST", f"/workers/{ID}", {})
        assert (answer.status, answer.header("allow")) == (405, "DELETE, GET, HEAD, PATCH, PUT")
        assert (await site.ask("GET", "/workers/")).status == 404
        assert (await site.ask("GET", f"/workers/{ID}/x")).status == 404


def test_without_a_service_there_are_no_worker_routes() -> None:
    def nothing(*_: Any) -> Any:
        return nothing

    given: dict[str, Any] = {
        field.name: nothing
        for field in dataclasses.fields(routes.Handlers)
        if field.default is dataclasses.MISSING
    }
    paths = {route.path for route in routes.build(routes.Handlers(**given))}
    assert "/flush_cache" in paths
    assert not paths & {"/workers", "/workers/{worker_id}", "/start_profile", "/stop_profile"}
