"""What the probe listener answers, and that nobody can keep it from answering."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import orjson
import pytest

from smg.app import side_listener
from smg.app.plain_http import MOST_HEAD
from smg.app.probe_listener import ProbeListener, answer
from smg.app.side_listener import MOST_CONNECTIONS, MOST_REST
from smg.fleet.readiness import Readiness, Snapshot
from smg.server.listener import bind
from smg.workers import Worker, WorkerRegistry, WorkerStatus

READY = Snapshot("", 2, 3)
PROBE = b"GET /readiness HTTP/1.1\r\nHost: h\r\n\r\n"


def ask(method: str, target: str, snapshot: Snapshot = READY) -> tuple[int, dict[str, str], bytes]:
    received = f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    reply = answer(received, snapshot)
    assert reply is not None
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("path", ["/liveness", "/health"])
@pytest.mark.parametrize("snapshot", [READY, Snapshot("draining", 0, 0)])
def test_alive(path: str, snapshot: Snapshot) -> None:
    status, headers, body = ask("GET", path, snapshot)
    assert (status, body) == (200, b"OK")
    assert headers == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "2",
        "connection": "close",
    }


def test_readiness() -> None:
    status, headers, body = ask("GET", "/readiness")
    assert (status, body) == (200, b'{"status":"ready","healthy_workers":2,"total_workers":3}')
    assert headers["content-type"] == "application/json"
    status, _, body = ask("GET", "/readiness", Snapshot("draining", 2, 3))
    assert (status, body) == (503, b'{"status":"not ready","reason":"draining"}')


@pytest.mark.parametrize("path", ["/liveness", "/health", "/readiness", "/other"])
def test_head_is_get_without_the_body(path: str) -> None:
    status, headers, body = ask("GET", path)
    assert ask("HEAD", path) == (status, headers, b"")
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "get"])
def test_other_methods(method: str) -> None:
    status, headers, body = ask(method, "/readiness")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert headers["x-smg-error-code"] == "method_not_allowed"
    assert orjson.loads(body)["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("target", ["/", "/metrics", "/health/", "//health", "*", "/v1/models"])
def test_other_paths(target: str) -> None:
    status, _, body = ask("GET", target)
    assert (status, orjson.loads(body)["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("target", ["/health?x=1", "http://h:1/health", "HTTP://h/health?a"])
def test_spellings_of_a_path(target: str) -> None:
    assert ask("GET", target)[0] == 200


@pytest.mark.parametrize("line", [b"GET /health", b"x", b"GET  /health HTTP/1.1", b"GET / SSH-2.0"])
def test_what_is_no_http(line: bytes) -> None:
    reply = answer(line + b"\r\n\r\n", READY)
    assert reply is not None
    assert reply.startswith(b"HTTP/1.1 400 ")


def test_a_request_in_pieces() -> None:
    for end in range(len(PROBE)):
        assert answer(PROBE[:end], READY) is None
    assert answer(PROBE, READY) == answer(b"\r\n\r\n" + PROBE, READY)


def test_a_long_head_is_refused_whether_complete_or_not() -> None:
    start = b"GET /health HTTP/1.1\r\nx: "
    fits = start + b"y" * (MOST_HEAD - len(start))
    assert answer(fits, READY) is None
    for end in (b"", b"\r\n\r\n"):
        reply = answer(fits + b"y" + end, READY)
        assert reply is not None
        assert reply.startswith(b"HTTP/1.1 431 ")


class Listening:
    """A listener over an empty registry."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.registry = WorkerRegistry()
        self.readiness = Readiness(self.registry)
        self.host = host
        self.listener = ProbeListener(bind(host, 0), self.readiness)
        self.listener.start()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.listener.port), timeout=10)

    def ask(self) -> bytes:
        with self.connect() as sock:
            sock.sendall(PROBE)
            return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture
def listening() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.listener.close()


def test_it_follows_the_readiness(listening: Listening) -> None:
    assert b"insufficient healthy workers" in listening.ask()
    worker = Worker("http://w:1")
    listening.registry.add(worker)
    listening.registry.set_status(worker, WorkerStatus.READY)
    assert listening.ask().endswith(b'{"status":"ready","healthy_workers":1,"total_workers":1}')
    listening.readiness.drain()
    assert b"draining" in listening.ask()


def test_a_client_that_half_closes_is_answered(listening: Listening) -> None:
    with listening.connect() as sock:
        sock.sendall(PROBE)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 503 ")


def test_idle_connections_keep_no_probe_out(listening: Listening) -> None:
    idle = [listening.connect() for _ in range(MOST_CONNECTIONS)]
    for _ in range(3):
        assert listening.ask().startswith(b"HTTP/1.1 503 ")
    assert idle[0].recv(1) == b""  # the oldest gave way
    idle[-1].sendall(PROBE)
    assert read_all(idle[-1]).startswith(b"HTTP/1.1 503 ")
    for sock in idle:
        sock.close()


def test_a_connection_lives_for_a_limited_time(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening.listener, "_life", 0.05)
    with listening.connect() as silent, listening.connect() as slow:
        slow.sendall(PROBE[:-1])
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""


def test_a_body_is_read_away_up_to_a_limit(listening: Listening) -> None:
    with listening.connect() as sock:
        sock.sendall(b"POST /health HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n")
        sock.sendall(b"x" * 1000)
        assert read_all(sock).startswith(b"HTTP/1.1 405 ")
        with pytest.raises(ConnectionError):
            while True:
                sock.sendall(b"x" * MOST_REST)


def test_clients_that_vanish(listening: Listening) -> None:
    for _ in range(50):
        listening.connect().close()
    with listening.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        sock.sendall(b"GET")
    assert listening.ask().startswith(b"HTTP/1.1 503 ")


def test_a_bug_ends_no_more_than_its_connection(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(listening.readiness, "snapshot", None)
        assert listening.ask() == b""
    assert "probe listener failed" in caplog.text
    assert listening.ask().startswith(b"HTTP/1.1 503 ")


def test_without_file_descriptors_it_waits_and_goes_on(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(side_listener, "PAUSE_SECS", 0)
    listening.listener._accept(Full())  # type: ignore[arg-type]
    assert "cannot accept" in caplog.text
    assert listening.ask().startswith(b"HTTP/1.1 503 ")


def test_close_ends_everything() -> None:
    made = Listening()
    with made.connect() as idle:
        made.listener.close()
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        made.connect()


def test_close_without_start() -> None:
    listener = ProbeListener(bind("127.0.0.1", 0), Readiness(WorkerRegistry()))
    listener.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6() -> None:
    try:
        made = Listening("::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert made.ask().startswith(b"HTTP/1.1 503 ")
    made.listener.close()
