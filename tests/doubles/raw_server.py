"""A worker that does exactly what a test's script says, good manners or not.

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf")
        peer.reset()

    async with RawServer(script) as worker:
        ... Gateway(worker_urls=[worker.url]) ...

One script call per accepted connection; a list gives each connection its own (the last one
repeats). The first request of a gateway is usually its probe: `answer_probes=True` (default)
answers `GET /health` and `GET /v1/models` outside of the script, so scripts and `requests` only see
what a client caused. An error in a script fails the test at the end.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.doubles.raw_client import RESET, HeaderPairs, encode_chunks

Script = Callable[["Peer"], Awaitable[None]]

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Request:
    """One request as it came, header names lower-case."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    raw_head: bytes

    def header(self, name: str) -> str | None:
        """First value of the header, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class PeerGone(ConnectionError):
    """The peer left while the script was reading or writing; ends the script quietly."""


def response_bytes(
    status: int = 200,
    body: bytes | str | dict[str, Any] = b"",
    headers: HeaderPairs = (),
    *,
    content_type: str = "application/json",
    length: bool = True,
) -> bytes:
    """One answer; `length=False` leaves the Content-Length to the caller's headers."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    data = data.encode() if isinstance(data, str) else data
    pairs = list(headers.items() if hasattr(headers, "items") else headers)
    given = {name.lower() for name, _ in pairs}
    if "content-type" not in given:
        pairs.append(("Content-Type", content_type))
    if length and "content-length" not in given:
        pairs.append(("Content-Length", str(len(data))))
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{n}: {v}" for n, v in pairs)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Peer(asyncio.Protocol):
    """One accepted connection: what the script talks through."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.requests: list[Request] = []
        self.closed = asyncio.Event()  # the peer left, or we closed
        self.finished = asyncio.Event()  # the peer sent FIN (or is gone)
        self.received = 0  # bytes that came in
        self.sent = 0  # bytes handed to the kernel or waiting in our transport
        self.transport: Any = None
        self.number = -1
        self._buffer = bytearray()
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.server.send_buffer is not None:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.server.send_buffer)
        self.server._accepted(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.finished.set()
        self._changed.set()
        return True  # the script decides when our side ends

    def connection_lost(self, _: Exception | None) -> None:
        self.finished.set()
        self.closed.set()
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Reading

    async def _more(self) -> None:
        if self.finished.is_set():
            raise PeerGone("the peer sends no more")
        self._changed.clear()
        await self._changed.wait()

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while (end := self._buffer.find(mark)) < 0:
            await self._more()
        return self._take(end + len(mark))

    async def read_exactly(self, size: int) -> bytes:
        """Just `size` bytes."""
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def read_head(self) -> Request:
        """The next request's head, body unread; not recorded."""
        raw = await self.read_until(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        headers = [(name.strip().lower(), value.strip()) for name, value in pairs]
        return Request(method, target, version, headers, b"", raw)

    async def read_request(self) -> Request:
        """The next whole request; probes are answered on the way when the server does that."""
        while True:
            request = await self.read_head()
            if (request.header("transfer-encoding") or "").lower() == "chunked":
                request.body = await self._read_chunked()
            else:
                request.body = await self.read_exactly(int(request.header("content-length") or 0))
            if not self.server._is_probe(request):
                break
            await self.send(self.server._probe_answer(request))
        self.requests.append(request)
        self.server.requests.append(request)
        self.server._notify()
        return request

    async def _read_chunked(self) -> bytes:
        pieces = []
        while size := int((await self.read_until(b"\r\n")).split(b";")[0], 16):
            pieces.append((await self.read_exactly(size + 2))[:-2])
        while await self.read_until(b"\r\n") != b"\r\n":
            pass
        return b"".join(pieces)

    def stop_reading(self) -> None:
        """Leave further bytes in the kernel: a worker that hangs while the body is sent."""
        self.transport.pause_reading()

    # Writing

    async def send(self, data: bytes) -> None:
        """Send exactly these bytes; waits while the peer does not read (back-pressure)."""
        if self.closed.is_set():
            raise PeerGone("the peer has left")
        self.sent += len(data)
        self.transport.write(data)
        await self._writable.wait()
        if self.closed.is_set():
            raise PeerGone("the peer has left")

    @property
    def unsent(self) -> int:
        """Bytes that the kernel would not take yet."""
        return int(self.transport.get_write_buffer_size())

    async def respond(
        self, status: int = 200, body: Any = b"", headers: HeaderPairs = (), **options: Any
    ) -> None:
        """Send one whole answer (see `response_bytes`)."""
        await self.send(response_bytes(status, body, headers, **options))

    async def start_stream(self) -> None:
        """Send the head of a chunked SSE answer."""
        await self.send(STREAM_HEAD)

    async def send_chunk(self, data: bytes) -> None:
        """Send one chunk."""
        await self.send(encode_chunks([data], last=False))

    async def send_event(self, data: str | dict[str, Any]) -> None:
        """Send one SSE frame as one chunk."""
        text = json.dumps(data) if isinstance(data, dict) else data
        await self.send_chunk(f"data: {text}\n\n".encode())

    async def end_stream(self, *, done: bool = True) -> None:
        """`[DONE]` (if wanted) and the last chunk."""
        if done:
            await self.send_event("[DONE]")
        await self.send(b"0\r\n\r\n")

    # Leaving

    def half_close(self) -> None:
        """Send FIN and keep reading."""
        self.transport.write_eof()

    def close(self) -> None:
        """Close in order, what was sent first."""
        self.transport.close()

    def reset(self) -> None:
        """Close with RST; unsent bytes are lost."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()


async def echo_chat(peer: Peer) -> None:
    """A friendly script: every request gets a small chat answer."""
    while True:
        request = await peer.read_request()
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        model = request.json().get("model") if request.body else None
        body = {"id": "x", "object": "chat.completion", "model": model, "choices": [choice]}
        await peer.respond(200, body)


class RawServer:
    """Listens on a port of the system's choice and runs scripts."""

    def __init__(
        self,
        script: Script | Sequence[Script] = echo_chat,
        *,
        model: str = "test-model",
        answer_probes: bool = True,
        send_buffer: int | None = None,
        backlog: int = 128,
    ) -> None:
        self.scripts: list[Script] = list(script) if isinstance(script, Sequence) else [script]
        self.model = model
        self.answer_probes = answer_probes
        self.send_buffer = send_buffer
        self.backlog = backlog
        self.connections: list[Peer] = []
        self.requests: list[Request] = []
        self.probes = 0
        self.port = 0
        self._server: asyncio.AbstractServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        """Base URL for `--worker-urls`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended."""
        return sum(not peer.closed.is_set() for peer in self.connections)

    async def start(self, port: int = 0) -> None:
        """Listen; a second call after `stop` can take the old port again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Peer(self), "127.0.0.1", port, backlog=self.backlog
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections; the old ones go on."""
        assert self._server is not None
        self._server.close()

    async def stop(self) -> None:
        """End scripts and connections; raises what went wrong in a script."""
        self.stop_listening()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.connections:
            peer.transport.abort()
        await asyncio.gather(*(peer.closed.wait() for peer in self.connections))
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, PeerGone):
                raise result

    async def __aenter__(self) -> RawServer:
        await self.start()
        return self

    async def __aexit__(self, error_type: object, *_: object) -> None:
        try:
            await self.stop()
        except Exception:
            if error_type is None:  # the test's own failure says more
                raise

    async def connection(self, number: int = 0) -> Peer:
        """Wait for the `number`-th accepted connection (from 0)."""
        await self._until(lambda: len(self.connections) > number)
        return self.connections[number]

    async def request(self, number: int = 0) -> Request:
        """Wait for the `number`-th whole request read by any script (from 0)."""
        await self._until(lambda: len(self.requests) > number)
        return self.requests[number]

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._news.clear()
            await self._news.wait()

    def _notify(self) -> None:
        self._news.set()

    def _accepted(self, peer: Peer) -> None:
        peer.number = len(self.connections)
        self.connections.append(peer)
        loop = asyncio.get_running_loop()
        name = f"script {peer.number} on port {self.port}"
        self._tasks.append(loop.create_task(self._run(peer), name=name))
        self._notify()

    async def _run(self, peer: Peer) -> None:
        script = self.scripts[min(peer.number, len(self.scripts) - 1)]
        try:
            await script(peer)
        finally:
            if peer.finished.is_set():  # both sides are done: nothing will be said any more
                peer.transport.close()

    def _is_probe(self, request: Request) -> bool:
        return self.answer_probes and request.method == "GET" and request.target in self._probes

    def _probe_answer(self, request: Request) -> bytes:
        self.probes += 1
        return response_bytes(200, self._probes[request.target])

    @property
    def _probes(self) -> dict[str, Any]:
        card = {"id": self.model, "object": "model", "created": 0, "owned_by": "test"}
        facts = {"model_path": self.model, "served_model_name": self.model}
        return {
            "/health": b"",
            "/v1/models": {"object": "list", "data": [card]},
            "/get_model_info": facts,
            "/model_info": facts,
            "/get_server_info": facts,
            "/server_info": facts,
            "/version": {"version": "0"},
        }


def as_scripts(answers: Iterable[bytes]) -> list[Script]:
    """One connection per entry: read a request, send the bytes, close."""

    def make(data: bytes) -> Script:
        async def script(peer: Peer) -> None:
            await peer.read_request()
            await peer.send(data)
            peer.close()

        return script

    return [make(data) for data in answers]
