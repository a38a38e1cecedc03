"""The metrics port: a thread of its own answers, whole and whatever the loop does."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from smg.app.metrics_listener import MetricsListener
from smg.app.side_listener import SideListener
from smg.observability.metrics import Registry
from smg.server.listener import bind
from tests.doubles.gateway import Gateway
from tests.doubles.metrics_text import Samples

#: more than a socket's buffers hold
LARGE = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 30_000_000


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.counter("things_total", "Things.").labels().inc(3)
    return made


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    listener = MetricsListener(bind("127.0.0.1", 0), registry)
    listener.start()
    yield f"http://127.0.0.1:{listener.port}"
    listener.close()


def test_a_scrape(url: str):
    with urllib.request.urlopen(f"{url}/metrics?x=1", timeout=5) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert Samples(answer.read().decode()).value("things_total") == 3


def test_head(url: str):
    request = urllib.request.Request(f"{url}/metrics", method="HEAD")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert int(answer.headers["content-length"]) > 10
        assert answer.read() == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/health", 404),
        ("POST", "/metrics", 405),
    ],
)
def test_nothing_else(url: str, method: str, path: str, status: int):
    request = urllib.request.Request(f"{url}{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    caught.value.close()
    assert caught.value.code == status


async def test_a_blocked_loop_keeps_no_scraper_waiting():
    async with Gateway() as gateway:
        address = f"http://127.0.0.1:{gateway.product.metrics_port}/metrics"
        # No await: the loop stands still until the answer is there.
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: ASYNC210
            assert Samples(answer.read().decode()).value("smg_build_info") == 1


async def test_there_is_no_second_server_on_the_loop():
    async with Gateway() as gateway:
        names = {thread.name for thread in threading.enumerate()}
        assert "smg-metrics" in names
        before = (await gateway.metrics()).value("smg_http_requests_total")
        assert (await gateway.metrics()).value("smg_http_requests_total") == before
    assert "smg-metrics" not in {thread.name for thread in threading.enumerate()}


def test_a_slow_reader_gets_everything_and_keeps_nobody_out():
    listener = SideListener(bind("127.0.0.1", 0), lambda _: LARGE, name="test")
    listener.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", listener.port), timeout=10) as slow,
            socket.create_connection(("127.0.0.1", listener.port), timeout=10) as quick,
        ):
            slow.sendall(b"x")
            assert slow.recv(1) == b"H"
            quick.sendall(b"x")
            assert read_all(quick) == len(LARGE)
            assert read_all(slow) == len(LARGE) - 1
    finally:
        listener.close()


def read_all(sock: socket.socket) -> int:
    size = 0
    while part := sock.recv(1 << 20):
        size += len(part)
    return size
