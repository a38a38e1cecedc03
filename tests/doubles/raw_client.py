"""An HTTP/1.1 client that does exactly what a test says: bytes out as given, bytes in only when
asked for.

Built on `loop.sock_*`, not on streams: nothing is read ahead, so a test that stops reading is a
truly slow reader.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST
PIECE = 65536

HeaderPairs = Iterable[tuple[str, str]] | Mapping[str, str]


def request_bytes(
    method: str = "GET",
    target: str = "/",
    body: bytes | str | dict[str, Any] | None = None,
    headers: HeaderPairs = (),
    *,
    version: str = "1.1",
    chunks: Iterable[bytes] | None = None,
) -> bytes:
    """One request. A dict body is sent as JSON; `chunks` sends a chunked body; a given header wins
    over ours.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    given = {name.lower() for name, _ in pairs}
    data = b""
    if isinstance(body, dict):
        data = json.dumps(body).encode()
        if "content-type" not in given:
            pairs.append(("Content-Type", "application/json"))
    elif body is not None:
        data = body.encode() if isinstance(body, str) else body
    if "host" not in given:
        pairs.insert(0, ("Host", "gateway.test"))
    if chunks is not None:
        data = encode_chunks(chunks)
        if "transfer-encoding" not in given:
            pairs.append(("Transfer-Encoding", "chunked"))
    elif (body is not None or method in ("POST", "PUT", "PATCH")) and "content-length" not in given:
        pairs.append(("Content-Length", str(len(data))))
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def encode_chunks(pieces: Iterable[bytes], *, last: bool = True) -> bytes:
    """Chunked framing of `pieces`; without `last` the body stays unfinished."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return data + (b"0\r\n\r\n" if last else b"")


@dataclass
class Head:
    """Status line and headers of an answer, header names lower-case."""

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]]
    raw: bytes = b""

    def header(self, name: str) -> str | None:
        """First value of the header, or None."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def chunked(self) -> bool:
        """The body is in chunked framing."""
        return (self.header("transfer-encoding") or "").lower() == "chunked"


@dataclass
class Answer:
    """A whole answer."""

    head: Head
    body: bytes
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Status code."""
        return self.head.status

    def header(self, name: str) -> str | None:
        """First value of the header, or None."""
        return self.head.header(name)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def events(self) -> list[str]:
        """The `data:` payloads of an SSE body, `[DONE]` included."""
        frames = re.split(rb"\r?\n\r?\n", self.body)
        return [frame[5:].strip().decode() for frame in frames if frame.startswith(b"data:")]


class ClosedEarly(ConnectionError):
    """The peer ended the connection before the message was whole; `.partial` is what came."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"connection closed after {len(partial)} bytes of an unfinished message")
        self.partial = partial


class RawClient:
    """One connection. Use `async with await RawClient.connect(port) as client:`."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.buffer = bytearray()
        self._method = "GET"

    @classmethod
    async def connect(
        cls, port: int, host: str = "127.0.0.1", *, receive_buffer: int | None = None
    ) -> RawClient:
        """Connect. A small `receive_buffer` (bytes) makes the kernel push back early: a slow
        reader.
        """
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # Sending

    async def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def send_in_pieces(self, data: bytes, size: int = 1, pause: float = 0.0) -> None:
        """Send `data` cut into pieces of `size` bytes, each a write of its own."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(pause)

    async def request(
        self, method: str, target: str, body: Any = None, headers: HeaderPairs = (), **options: Any
    ) -> Answer:
        """Send one request (see `request_bytes`) and read the whole answer."""
        self._method = method
        await self.send(request_bytes(method, target, body, headers, **options))
        return await self.answer(method)

    # Receiving

    async def receive(self, size: int = PIECE) -> bytes:
        """Read once from the socket; b"" when the peer has finished."""
        return await asyncio.get_running_loop().sock_recv(self.socket, size)

    async def _fill(self) -> None:
        data = await self.receive()
        if not data:
            raise ClosedEarly(bytes(self.buffer))
        self.buffer += data

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while (end := self.buffer.find(mark)) < 0:
            await self._fill()
        return self._take(end + len(mark))

    async def read_exactly(self, size: int) -> bytes:
        """Just `size` bytes."""
        while len(self.buffer) < size:
            await self._fill()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def read_head(self, *, skip_continue: bool = True) -> Head:
        """The next head; interim 100 answers are skipped unless told otherwise."""
        while True:
            raw = await self.read_until(b"\r\n\r\n")
            first, *lines = raw[:-4].decode("latin-1").split("\r\n")
            version, status, *reason = first.split(" ", 2)
            pairs = [line.split(":", 1) for line in lines]
            headers = [(name.strip().lower(), value.strip()) for name, value in pairs]
            head = Head(int(status), "".join(reason), version, headers, raw)
            if head.status != 100 or not skip_continue:
                return head

    async def read_chunk(self) -> bytes:
        """Data of the next chunk; b"" for the last one (trailers consumed)."""
        size = int((await self.read_until(b"\r\n")).split(b";")[0], 16)
        if size:
            data = await self.read_exactly(size + 2)
            assert data.endswith(b"\r\n"), "a chunk is not followed by CRLF"
            return data[:-2]
        self.trailers: list[tuple[str, str]] = []
        while (line := await self.read_until(b"\r\n")) != b"\r\n":
            name, value = line.decode("latin-1").split(":", 1)
            self.trailers.append((name.strip().lower(), value.strip()))
        return b""

    async def read_body(self, head: Head, method: str = "GET") -> bytes:
        """The body that belongs to `head`: none, sized, chunked, or until the connection ends."""
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return b""
        if head.chunked:
            pieces = []
            try:
                while piece := await self.read_chunk():
                    pieces.append(piece)
            except ClosedEarly as error:
                raise ClosedEarly(b"".join(pieces) + error.partial) from None
            return b"".join(pieces)
        length = head.header("content-length")
        if length is not None:
            return await self.read_exactly(int(length))
        return await self.read_to_end()

    async def answer(self, method: str = "GET") -> Answer:
        """The next whole answer; raises `ClosedEarly` when its framing is broken off."""
        head = await self.read_head()
        self.trailers = []
        body = await self.read_body(head, method)
        return Answer(head, body, self.trailers)

    async def read_to_end(self) -> bytes:
        """Everything until the peer closes in order; a reset raises `ConnectionResetError`."""
        while data := await self.receive():
            self.buffer += data
        return self._take(len(self.buffer))

    async def ended(self) -> str:
        """Read and drop until the connection ends; "eof" or "reset"."""
        try:
            while await self.receive():
                pass
        except ConnectionError:
            return "reset"
        return "eof"

    # Leaving

    def half_close(self) -> None:
        """Send FIN and keep reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with RST: what a killed client looks like."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def close(self) -> None:
        """Leave in order (RST if unread data is waiting, as any program)."""
        self.socket.close()
