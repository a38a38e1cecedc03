"""The access log joined to a server: lines for the level, fields of the exchange."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from smg.app.access import ServerLog
from smg.observability.logging import configure
from smg.server import Route
from tests.unit.server.edge import Edge, echo


class Site:
    def __init__(self, level: str) -> None:
        self.out = io.StringIO()
        self.handle = configure(level, json=True, environ={}, stream=self.out)
        self.edge = Edge([Route("GET", "/now", echo), Route("GET", "/probe", echo, probe=True)])
        ServerLog(self.edge.server, self.handle)

    def get(self, *paths: str) -> list[dict[str, Any]]:
        """The lines that these requests write."""
        with self.edge as edge:
            client = edge.connect()
            for path in paths:
                client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n\r\n".encode())
        self.handle.flush()
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(request.param)
    yield made
    made.handle.close()


@pytest.mark.parametrize("site", ["info"], indirect=True)
def test_two_lines_per_request(site: Site):
    lines = site.get("/now?a=b", "/nowhere", "/probe")
    assert [(line["target"], line["uri"]) for line in lines] == [
        ("smg::request", "/now?a=b"),
        ("smg::response", "/now?a=b"),
        ("smg::request", "/nowhere"),
        ("smg::response", "/nowhere"),
    ]
    assert {(line["method"], line["version"], line["request_id"]) for line in lines} == {
        ("GET", "HTTP/1.1", "i")
    }
    assert [line.get("status_code") for line in lines] == [None, 200, None, 404]
    assert all(line["latency"] >= 0 for line in lines if "latency" in line)


@pytest.mark.parametrize("site", ["debug"], indirect=True)
def test_probes_at_debug(site: Site):
    assert [line["level"] for line in site.get("/probe")] == ["DEBUG", "DEBUG"]


@pytest.mark.parametrize("site", ["warn"], indirect=True)
def test_only_failures_at_warn(site: Site):
    lines = site.get("/now", "/nowhere", "/probe")
    assert [(line["target"], line["status_code"]) for line in lines] == [("smg::response", 404)]
    assert not site.edge.server.log_requests


@pytest.mark.parametrize("site", ["error"], indirect=True)
def test_nothing_at_error(site: Site):
    assert site.get("/now", "/nowhere", "/probe") == []
