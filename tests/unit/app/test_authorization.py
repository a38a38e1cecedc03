"""Keys joined to the server: classes of routes, and an audit line for every decision."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from smg.app.access import ServerLog
from smg.app.authorization import Authorization, is_loopback, warn_if_open
from smg.config.settings import RouterConfig
from smg.observability.logging import configure
from smg.server import Auth, Exchange, Route
from tests.unit.server.edge import Client, Edge, echo

OPERATORS = (("ops", "Ops", "key-of-ops", "admin"), ("view", "V", "key-of-view", "user"))


def guard(**config: Any) -> Authorization:
    made = Authorization.from_config(RouterConfig(**config))
    assert made is not None
    return made


class Held:
    """A handler that answers when the test says so."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def start(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


class Site:
    """A server with one admin route, and its log."""

    def __init__(self, level: str = "info", **config: Any) -> None:
        self.out = io.StringIO()
        environ = {"SMG_LOG": level}
        self.handle = configure("info", json=True, environ=environ, stream=self.out)
        self.held = Held()
        self.guard = guard(control_plane_api_keys=OPERATORS, **config)
        routes = [
            Route("POST", "/workers/{worker_id}", echo, Auth.CONTROL),
            Route("POST", "/held", self.held.start, Auth.CONTROL),
            Route("POST", "/chat", echo, Auth.DATA),
        ]
        self.edge = Edge(routes)
        self.edge.server.authorize = self.guard.authorize
        ServerLog(self.edge.server, self.handle, self.guard.trail)

    def lines(self, target: str = "smg::audit") -> list[dict[str, Any]]:
        self.handle.flush()
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["target"] == target]


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(**getattr(request, "param", {}))
    yield made
    made.handle.close()


def post(client: Client, path: str, key: str | None = "key-of-ops", body: bytes = b"") -> None:
    auth = "" if key is None else f"Authorization: Bearer {key}\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n{auth}"
    client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def test_one_line_per_decision(site: Site) -> None:
    with site.edge as edge:
        client = edge.connect()
        post(client, "/workers/w%201?x=y")
        post(client, "/workers/w-2", "key-of-view")
        post(client, "/workers/w-3", None)
        post(client, "/chat")
    told = [
        (line["principal"], line["role"], line["outcome"], line["status"], line["resource"])
        for line in site.lines()
    ]
    assert told == [
        ("ops", "admin", "success", 200, "w 1"),
        ("view", "user", "denied", 403, "w-2"),
        ("unauthenticated", "user", "denied", 401, "w-3"),
    ]
    first = site.lines()[0]
    assert (first["path"], first["request_id"]) == ("/workers/w%201", "i")
    assert "key-of" not in site.out.getvalue()


def test_let_in_is_written_with_the_answer(site: Site) -> None:
    with site.edge as edge:
        client = edge.connect()
        post(client, "/held")
        assert site.lines() == []
        site.held.exchanges[0].respond(409, b"{}")
        (line,) = site.lines()
        assert (line["outcome"], line["status"]) == ("success", 409)


def test_a_client_that_does_not_wait_is_on_record(site: Site) -> None:
    """Else leaving early would hide what was done."""
    with site.edge as edge:
        client = edge.connect()
        post(client, "/held")
        client.leave()
        (line,) = site.lines()
        assert (line["principal"], line["outcome"]) == ("ops", "success")
        assert "status" not in line
        assert line["details"].startswith("no answer was sent")


def test_a_request_that_was_given_up_is_on_record(site: Site) -> None:
    with site.edge as edge:
        client = edge.connect()
        post(client, "/held")
        site.held.exchanges[0].abort()
        assert [line["outcome"] for line in site.lines()] == ["success"]
        client.leave()
    assert len(site.lines()) == 1
    trail = site.guard.trail
    assert trail is not None
    assert trail._waiting == {}


@pytest.mark.parametrize("site", [{"level": "warn,smg.audit=info"}], indirect=True)
def test_without_an_access_log(site: Site) -> None:
    with site.edge as edge:
        client = edge.connect()
        post(client, "/workers/w")
        post(client, "/chat")
    assert [line["status"] for line in site.lines()] == [200]
    assert site.lines("smg::request") == site.lines("smg::response") == []


@pytest.mark.parametrize("site", [{"disable_audit_logging": True}], indirect=True)
def test_switched_off(site: Site) -> None:
    assert site.guard.trail is None
    with site.edge as edge:
        client = edge.connect()
        post(client, "/workers/w")
        post(client, "/workers/w", None)
    assert site.lines() == []
    assert len(site.lines("smg::response")) == 2


def test_no_audit_without_control_plane_keys() -> None:
    assert guard(api_key="shared-key").trail is None


def test_a_class_that_nobody_opened_is_closed() -> None:
    class Odd:
        endpoint = type("E", (), {"auth": Auth.PUBLIC})
        headers = [(b"authorization", b"Bearer shared-key")]

    error = guard(api_key="shared-key").authorize(cast(Exchange, Odd))
    assert error is not None
    assert error.status == 401


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("config", "address", "warns"),
    [
        (None, "0.0.0.0", True),
        (None, "127.0.0.1", False),
        ({"api_key": "shared-key"}, "0.0.0.0", False),
        ({"tenant_api_key": ("t:tenant-key",)}, "0.0.0.0", False),
        ({"control_plane_api_keys": OPERATORS}, "0.0.0.0", False),
    ],
)
def test_the_warning_of_open_admin_routes(
    config: dict[str, Any] | None, address: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server((address, 0)) as sock:
        warn_if_open(None if config is None else guard(**config), [sock.getsockname()[0]])
    found = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(found) == warns
    assert all("--control-plane-api-keys" in record.getMessage() for record in found)
