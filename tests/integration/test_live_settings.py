"""Settings that are taken over while clients are served: what the next request finds."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from smg.app.reload import Reloader, changed
from smg.config.flags import BY_FIELD
from smg.config.parse import Loaded
from smg.config.settings import RouterConfig
from smg.observability.logging import LogHandle, configure
from smg.reliability.breaker import OPEN
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, chat, send_chat, until
from tests.meta.project import ROOT

OLD, NEW = "key-that-was", "key-that-is"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def take_over(gateway: Gateway, **changes: Any) -> set[str]:
    """What a reload with these changes puts into force; the names that were taken over."""
    product = gateway.product
    old = product.config
    new = replace(old, **changes)
    taken = {name for target in product.reload_targets for name in target(old, new)}
    product.config = replace(old, **{name: getattr(new, name) for name in taken})
    return taken


# -- keys -----------------------------------------------------------------------------------------


async def test_another_key_holds_for_the_next_request() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url], api_key=OLD) as gateway:
        async with await gateway.connect() as kept:
            assert (await kept.request("POST", CHAT, chat(), bearer(OLD))).status == 200
            assert take_over(gateway, api_key=NEW) == {"api_key"}
            assert (await kept.request("POST", CHAT, chat(), bearer(OLD))).status == 401
            assert (await kept.request("POST", CHAT, chat(), bearer(NEW))).status == 200
        assert (await gateway.post(CHAT, chat(), bearer(OLD))).status == 401
        assert (await gateway.post(CHAT, chat(), bearer(NEW))).status == 200


async def test_workers_that_are_shown_the_gateways_key_are_shown_the_new_one() -> None:
    async with (
        RawServer() as named,
        RawServer() as posted,
        Gateway(worker_urls=[named.url], api_key=OLD) as gateway,
    ):
        spec = {"url": posted.url, "api_key": "key-of-worker"}
        assert (await gateway.post("/workers", spec, bearer(OLD))).status == 202
        await until(lambda: len(gateway.registry.all()) == 2)
        take_over(gateway, api_key=NEW)
        shown = {}
        for number in range(2):  # round robin
            worker = (named, posted)[number]
            before = len(worker.requests)
            for _ in range(2):
                assert (await gateway.post(CHAT, chat(), bearer(NEW))).status == 200
            request = next(r for r in worker.requests[before:] if r.target == CHAT)
            shown[number] = request.header("authorization")
        assert shown == {0: f"Bearer {NEW}", 1: "Bearer key-of-worker"}
        assert all(worker.is_healthy for worker in gateway.registry.all())


async def test_a_worker_on_its_way_is_asked_with_the_new_key() -> None:
    seen: list[str | None] = []

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            seen.append(request.header("authorization"))
            await peer.respond(200 if seen[-1] == f"Bearer {NEW}" else 401, {"data": []})

    async with (
        RawServer(script, answer_probes=False) as worker,
        Gateway(worker_urls=[worker.url], api_key=OLD, wait_ready=False) as gateway,
    ):
        await until(lambda: f"Bearer {OLD}" in seen)
        assert len(gateway.registry) == 0
        take_over(gateway, api_key=NEW)
        await until(lambda: len(gateway.registry) == 1)
        assert f"Bearer {NEW}" in seen


async def test_keys_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    operator = ("ops", "Ops", "key-of-ops", "admin")
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        assert take_over(gateway, control_plane_api_keys=(operator,)) == {"control_plane_api_keys"}
        assert (await gateway.get("/workers")).status == 401
        assert (await gateway.get("/workers", bearer("key-of-ops"))).status == 200
        assert (await gateway.post(CHAT, chat())).status == 200
        take_over(gateway, tenant_api_key=("acme:key-of-acme",))
        assert (await gateway.post(CHAT, chat())).status == 401
        assert (await gateway.post(CHAT, chat(), bearer("key-of-acme"))).status == 200
        # the tenant's key opens the gateway, so no worker sees it
        assert worker.requests[-1].header("authorization") is None
        take_over(gateway, tenant_api_key=(), control_plane_api_keys=())
        assert gateway.server.authorize is None
        assert (await gateway.get("/workers")).status == 200
        assert (await gateway.post(CHAT, chat(), bearer("of-the-client"))).status == 200
        assert worker.requests[-1].header("authorization") == "Bearer of-the-client"


async def test_detailed_answers_follow_the_keys() -> None:
    """Public routes tell more to whoever shows a key."""
    async with RawServer() as worker, Gateway(worker_urls=[worker.url], api_key=OLD) as gateway:
        product = gateway.product
        take_over(gateway, api_key=NEW)
        assert product.guard.access.trusted([(b"authorization", f"Bearer {NEW}".encode())])
        assert not product.guard.access.trusted([(b"authorization", f"Bearer {OLD}".encode())])


async def test_a_shared_key_says_nothing_about_the_sender() -> None:
    async with (
        RawServer() as one,
        RawServer() as two,
        Gateway(
            worker_urls=[one.url, two.url], policy="consistent_hashing", api_key=OLD
        ) as gateway,
    ):
        await until(lambda: all(worker.is_healthy for worker in gateway.registry.all()))
        await until(lambda: len(gateway.registry) == 2)
        assert (await gateway.post(CHAT, chat(), bearer(OLD))).status == 200
        take_over(gateway, api_key=NEW)
        assert (await gateway.post(CHAT, chat(), bearer(NEW))).status == 200
        samples = await gateway.metrics()
        name = "smg_consistent_hashing_policy_branch_total"
        assert samples.value(name, branch="random_fallback") == 2


class Audited:
    """A gateway's log, as lines of the audit log."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.handle: LogHandle = configure("info", json=False, environ={}, stream=self.out)

    def __enter__(self) -> Audited:
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.close()

    def lines(self) -> list[str]:
        self.handle.flush()
        return [line for line in self.out.getvalue().splitlines() if "smg::audit" in line]


async def test_the_audit_log_goes_on() -> None:
    first, second = ("ops", "Ops", "key-of-ops", "admin"), ("ops", "Ops", "key-of-two", "admin")
    with Audited() as log:
        async with Gateway(log_handle=log.handle, control_plane_api_keys=(first,)) as gateway:
            await gateway.get("/workers", bearer("key-of-ops"))
            take_over(gateway, control_plane_api_keys=(second,))
            assert (await gateway.get("/workers", bearer("key-of-ops"))).status == 401
            assert (await gateway.get("/workers", bearer("key-of-two"))).status == 200
            assert len(log.lines()) == 3
            take_over(gateway, disable_audit_logging=True)
            await gateway.get("/workers", bearer("key-of-two"))
            assert gateway.product.server_log.trail is None
            take_over(gateway, disable_audit_logging=False)
            await gateway.get("/workers", bearer("key-of-two"))
        assert len(log.lines()) == 4
        assert "key-of" not in log.out.getvalue()


async def test_who_was_let_in_before_is_on_record_all_the_same() -> None:
    operator = ("ops", "Ops", "key-of-ops", "admin")
    with Audited() as log:
        async with (
            RawServer() as worker,
            Gateway(
                worker_urls=[worker.url],
                log_handle=log.handle,
                control_plane_api_keys=(operator,),
            ) as gateway,
        ):
            async with await gateway.connect() as client:
                # Let in with the head; the body is not there yet.
                await client.send(
                    b"POST /workers HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-of-ops\r\n"
                    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
                )
                await until(lambda: len(gateway.server.exchanges) == 1)
                take_over(gateway, control_plane_api_keys=())
                assert log.lines() == []
                await client.send(b"{}")
                assert (await client.answer()).status == 400
        (line,) = log.lines()
        assert "principal=ops" in line


async def test_secrets_are_kept_out_of_the_log_from_then_on() -> None:
    with Audited() as log:
        async with Gateway(log_handle=log.handle, api_key=OLD) as gateway:
            take_over(gateway, api_key=NEW)
            logging.getLogger("smg.test").warning("someone logs %s", NEW)
        log.handle.flush()
        assert "someone logs [redacted]" in log.out.getvalue()


# -- the rest -------------------------------------------------------------------------------------


async def test_the_log_level() -> None:
    with Audited() as log:
        async with Gateway(log_handle=log.handle) as gateway:
            assert gateway.server.log_requests
            assert take_over(gateway, log_level="warn") == {"log_level"}
            assert not gateway.server.log_requests
            await gateway.get("/workers")
            take_over(gateway, log_level="info")
            assert gateway.server.log_requests
            await gateway.get("/nowhere")
        log.handle.flush()
        assert "/workers" not in log.out.getvalue()
        assert "/nowhere" in log.out.getvalue()


async def test_origins() -> None:
    page = {"Origin": "https://chat.example"}
    allowed = "access-control-allow-origin"
    async with Gateway() as gateway:
        assert (await gateway.get("/health", page)).header(allowed) is None
        assert (await gateway.request("OPTIONS", "/v1/models", None, page)).status == 405
        take_over(gateway, cors_allowed_origins=("https://chat.example",))
        assert (await gateway.get("/health", page)).header(allowed) == "https://chat.example"
        assert (await gateway.request("OPTIONS", "/v1/models", None, page)).status == 200
        take_over(gateway, cors_allowed_origins=("*",))
        assert (await gateway.get("/health", page)).header(allowed) == "*"
        assert (await gateway.request("OPTIONS", "/v1/models", None, page)).status == 200
        samples = await gateway.metrics()
        name = "smg_http_requests_total"
        assert samples.value(name, method="OPTIONS", path="preflight") == 2
        take_over(gateway, cors_allowed_origins=())
        assert (await gateway.get("/health", page)).header(allowed) is None


async def test_forwarded_headers() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await gateway.post(CHAT, chat(), {"X-Team": "red"})
        assert worker.requests[-1].header("x-team") is None
        take_over(gateway, forward_request_headers=("x-team",))
        await gateway.post(CHAT, chat(), {"X-Team": "red"})
        assert worker.requests[-1].header("x-team") == "red"


async def test_workers_come_and_go_without_an_error() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_chunk(b'data: {"n": 1}\n\n')
        await go.wait()
        await peer.end_stream()

    async with (
        RawServer(script) as first,
        RawServer() as second,
        RawServer() as posted,
        Gateway(worker_urls=[first.url], drain_settle_secs=0) as gateway,
        await gateway.connect() as client,
    ):
        await gateway.post("/workers", {"url": posted.url, "priority": 10})
        await until(lambda: len(gateway.registry) == 2)
        await send_chat(client, stream=True)
        head = await client.read_head()
        await client.read_chunk()
        # Another spelling of the first one is the same worker.
        assert take_over(gateway, worker_urls=(first.url + "/v1/", second.url)) == {"worker_urls"}
        await until(lambda: len(gateway.registry) == 3)
        kept = gateway.registry.by_url(first.url)
        assert kept.status.value == "ready"
        take_over(gateway, worker_urls=(second.url,))
        assert kept.status.value == "draining"
        assert (await gateway.post(CHAT, chat())).status == 200
        assert first.requests[-1].target == CHAT
        go.set()
        assert await client.read_body(head) == b"data: [DONE]\n\n"
        await until(lambda: gateway.registry.by_url(first.url) is None)
        assert {worker.url for worker in gateway.registry.all()} == {second.url, posted.url}


async def test_health_settings() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            await peer.respond(404 if request.target == "/other" else 200, {"data": []})

    async with (
        RawServer(script, answer_probes=False) as worker,
        Gateway(worker_urls=[worker.url]) as gateway,
    ):
        (registered,) = gateway.registry.all()
        taken = take_over(
            gateway,
            health_check_interval_secs=1,
            health_failure_threshold=1,
            health_check_endpoint="/other",
            worker_startup_delay=7,
        )
        assert taken == {
            *("health_check_interval_secs", "health_failure_threshold"),
            *("health_check_endpoint", "worker_startup_delay"),
        }
        await until(lambda: not registered.is_healthy)
        take_over(gateway, disable_health_check=True)
        await until(lambda: registered.is_healthy)


async def test_retries_and_breakers() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(500, {})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 500
        assert len(worker.requests) == 1
        taken = take_over(
            gateway, disable_retries=False, retry_max_retries=3, retry_initial_backoff_ms=1
        )
        assert taken == {"disable_retries", "retry_max_retries", "retry_initial_backoff_ms"}
        assert (await gateway.post(CHAT, chat())).status == 500
        assert len(worker.requests) == 4
        take_over(gateway, disable_retries=True, cb_failure_threshold=1)
        await gateway.post(CHAT, chat())
        assert gateway.registry.all()[0].breaker.state == OPEN
        assert (await gateway.post(CHAT, chat())).status == 503
        take_over(gateway, disable_circuit_breaker=True)
        assert (await gateway.post(CHAT, chat())).status == 500


# -- limits ---------------------------------------------------------------------------------------


class Held:
    """A worker that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.worker = RawServer(self._script)

    async def _script(self, peer: Peer) -> None:
        while True:
            await peer.read_request()
            await self.go.wait()
            await peer.respond(200, {"ok": True})


async def started(gateway: Gateway, number: int, stack: AsyncExitStack) -> list[RawClient]:
    """Requests under way."""
    clients = [await stack.enter_async_context(await gateway.connect()) for _ in range(number)]
    for client in clients:
        await send_chat(client)
    await until(lambda: len(gateway.server.exchanges) == number)
    return clients


async def test_a_limit_comes_changes_and_goes() -> None:
    held = Held()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(held.worker)
        gateway = await stack.enter_async_context(Gateway(worker_urls=[worker.url]))
        assert gateway.product.gate is None
        take_over(gateway, max_concurrent_requests=1, queue_size=9)
        clients = await started(gateway, 4, stack)
        assert len(worker.requests) == 1
        first: Any = gateway.product.gate
        admission = first._admission
        take_over(gateway, max_concurrent_requests=2)
        assert gateway.product.gate is first  # who waits keeps the place
        await until(lambda: len(worker.requests) == 2)
        take_over(gateway, queue_size=0)
        assert (await gateway.post(CHAT, chat())).status == 429
        take_over(gateway, max_concurrent_requests=0)
        assert gateway.product.gate is None
        await until(lambda: len(worker.requests) == 4)
        held.go.set()
        for client in clients:
            assert (await client.answer()).status == 200
        assert (await gateway.post(CHAT, chat())).status == 200
        assert admission.inflight == 0
        assert "smg_admission_inflight" not in (await gateway.metrics()).names()


class Files:
    """A reloader beside a gateway, with a file that settings name."""

    def __init__(self, gateway: Gateway, path: Path) -> None:
        self.path = path
        self.new: RouterConfig = gateway.product.config
        self.ended = asyncio.Event()
        self.reloader = Reloader(
            gateway.product, lambda: Loaded(self.new, ()), ends=lambda: self.ended.set()
        )

    async def reload(self, text: str, **changes: Any) -> None:
        self.path.write_text(text)
        self.new = replace(self.new, **changes)
        self.ended.clear()
        self.reloader.request()
        await asyncio.wait_for(self.ended.wait(), 10)


async def test_the_file_of_the_scheduler(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = Held()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(held.worker)
        gateway = await stack.enter_async_context(Gateway(worker_urls=[worker.url]))
        files = Files(gateway, tmp_path / "priority.yaml")
        on: dict[str, Any] = {
            "priority_scheduler_enabled": True,
            "priority_scheduler_config": str(files.path),
        }
        open_to_all = "classes: {system: {reserved: 0}, interactive: {reserved: 0, share: 0}}\n"
        await files.reload(open_to_all + "capacity: 1", **on)
        gate = gateway.product.gate
        clients = await started(gateway, 4, stack)
        await until(lambda: gate._admission.waiting == 3)
        await files.reload(open_to_all + "capacity: 2")  # the same settings, another file
        assert gateway.product.gate is gate
        await until(lambda: len(worker.requests) == 2)
        await files.reload("capacity: none")
        assert gate._admission.capacity == 2
        reloads = (await gateway.metrics()).value
        assert reloads("smg_config_last_reload_successful") == 0
        assert "--priority-scheduler-config" in caplog.text
        await files.reload("", priority_scheduler_enabled=False)
        assert gateway.product.gate is None
        await until(lambda: len(worker.requests) == 4)
        held.go.set()
        for client in clients:
            assert (await client.answer()).status == 200
        samples = await gateway.metrics()
        assert samples.value("smg_config_last_reload_successful") == 1
        assert "smg_scheduler_inflight" not in samples.names()


async def test_the_file_of_tenant_limits(tmp_path: Path) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        files = Files(gateway, tmp_path / "tenants.yaml")
        here = "{tenant_key: 'ip:127.0.0.1', requests_per_minute: 2}"

        async def status(**headers: str) -> int:
            return (await gateway.post(CHAT, chat(), headers)).status

        await files.reload(
            f"tenants: [{here}]",
            tenant_rate_limit_enabled=True,
            tenant_rate_limit_config=str(files.path),
        )
        assert [await status() for _ in range(3)] == [200, 200, 429]
        await files.reload(f"tenants: [{here}, {{tenant_key: anonymous, requests_per_minute: 1}}]")
        assert await status() == 429  # what was used stays used
        trusted = "tenants: [{tenant_key: 'header:red', requests_per_minute: 1}]"
        await files.reload(trusted)  # not while nobody trusts the header
        assert await status() == 429
        await files.reload(trusted, trust_tenant_header=True, tenant_header_name="x-team")
        assert [await status(**{"X-Team": "red"}) for _ in range(2)] == [200, 429]
        assert await status() == 200
        await files.reload(trusted, tenant_rate_limit_enabled=False)
        assert gateway.product.entrance.meter is None
        assert await status(**{"X-Team": "red"}) == 200


async def test_the_grace_of_the_next_drain() -> None:
    async with Gateway() as gateway:
        take_over(gateway, shutdown_grace_period_secs=7)
        assert gateway.product.config.shutdown_grace_period_secs == 7


# -- the page -------------------------------------------------------------------------------------

DIFFERENT: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value / 2,
    str: lambda value: value + "x",
    tuple: lambda value: (*value, "x"),
    type(None): lambda value: "x",
}
SPECIAL: dict[str, Any] = {
    "log_level": "debug",
    "api_key": NEW,
    "tenant_api_key": ("acme:key-of-acme",),
    "control_plane_api_keys": (("ops", "Ops", "key-of-ops", "admin"),),
    "cors_allowed_origins": ("*",),
    "worker_urls": ("http://127.0.0.1:9",),
    "health_check_port": 1,
    "model_alias": (("a", "b"),),
    "retry_backoff_multiplier": 2.0,
    "worker_overload_waiting_requests": 5,
    "worker_overload_token_usage": 0.5,
    "rate_limit_tokens_per_second": 1,
}


async def test_the_guide_lists_what_is_taken_over() -> None:
    """Both ways: what the page promises is in force, and what is in force is on the page."""
    text = (ROOT / "docs" / "guide" / "configuration.md").read_text()
    section = text.partition("\n## Reload\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `--")]
    listed = {flag for row in rows for flag in re.findall(r"`--([a-z0-9-]+)`", row)}
    async with Gateway() as gateway:
        config = gateway.product.config
        other = {
            field.name: SPECIAL[field.name]
            if field.name in SPECIAL
            else DIFFERENT[type(getattr(config, field.name))](getattr(config, field.name))
            for field in fields(RouterConfig)
        }
        assert changed(config, replace(config, **other), list(other)) == list(other)
        taken = take_over(gateway, **other)
    assert {BY_FIELD[name].name for name in taken} == listed
