"""A bad network between two sockets: stalls, delays, drips, cuts, refuses.

`up` is what the client sends, `down` what comes back. Settings apply to bytes that pass from then
on, on every open connection.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Literal

from tests.doubles.raw_client import RESET

Direction = Literal["up", "down"]
How = Literal["close", "reset"]
PIECE = 65536


@dataclass
class Lane:
    """One direction, all connections together."""

    delay: float = 0.0  # seconds added to each piece
    drip: int = PIECE  # largest piece passed on at once
    cut_after: int | None = None  # bytes let through before the cut
    cut_how: How = "reset"
    passed: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.flowing.set()


class Pipe:
    """One client connection and its way to the target."""

    def __init__(self, proxy: TcpProxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.target = socket.socket()
        self.target.setblocking(False)
        self.ended = False
        self.task: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Connect and pump both ways until one side ends."""
        if self.proxy.black_hole:
            await asyncio.Event().wait()
        how: How = "close"
        try:
            address = ("127.0.0.1", self.proxy.target_port)
            await asyncio.get_running_loop().sock_connect(self.target, address)
            await self._pump_both()
        except OSError:  # a reset on one side is a reset on the other
            how = "reset"
        except _Cut as cut:
            how = cut.how
        self.end(how)

    async def _pump_both(self) -> None:
        loop = asyncio.get_running_loop()
        up, down = self.proxy.lanes["up"], self.proxy.lanes["down"]
        pumps = [
            loop.create_task(self._pump(self.client, self.target, up), name="proxy up"),
            loop.create_task(self._pump(self.target, self.client, down), name="proxy down"),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, lane.drip):
            await lane.flowing.wait()
            if lane.delay:
                await asyncio.sleep(lane.delay)
            cut = lane.cut_after is not None and lane.passed + len(data) >= lane.cut_after
            if cut:
                data = data[: (lane.cut_after or 0) - lane.passed]
            lane.passed += len(data)
            await loop.sock_sendall(sink, data)
            if cut:
                lane.cut_after = None
                raise _Cut(lane.cut_how)
        await lane.flowing.wait()
        sink.shutdown(socket.SHUT_WR)

    def end(self, how: How) -> None:
        """Close both sockets; whoever still pumps is cancelled first, so nobody waits on a dead
        descriptor.
        """
        if self.ended:
            return
        self.ended = True
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        for sock in (self.client, self.target):
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            asyncio.get_running_loop().call_soon(sock.close)  # after the cancelled waits are undone


class _Cut(Exception):
    def __init__(self, how: How) -> None:
        self.how = how


class TcpProxy:
    """Stands before `127.0.0.1:target_port`; `async with TcpProxy(worker.port) as proxy:`."""

    def __init__(self, target_port: int, *, black_hole: bool = False) -> None:
        self.target_port = target_port
        self.black_hole = black_hole  # accept and never answer
        self.lanes: dict[Direction, Lane] = {"up": Lane(), "down": Lane()}
        self.port = 0
        self.pipes: list[Pipe] = []
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """Base URL of this side."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def accepted(self) -> int:
        """Connections ever accepted."""
        return len(self.pipes)

    # What can go wrong

    def stall(self, *directions: Direction) -> None:
        """Hold bytes back; without arguments in both directions."""
        for name in directions or ("up", "down"):
            self.lanes[name].flowing.clear()

    def resume(self) -> None:
        """Let everything flow again."""
        for lane in self.lanes.values():
            lane.flowing.set()

    def delay(self, seconds: float, direction: Direction = "down") -> None:
        """Hold each piece for a while."""
        self.lanes[direction].delay = seconds

    def drip(self, size: int, pause: float, direction: Direction = "down") -> None:
        """Pass pieces of `size` bytes with a pause between them."""
        self.lanes[direction].drip = size
        self.lanes[direction].delay = pause

    def cut_after(self, size: int, direction: Direction = "down", how: How = "reset") -> None:
        """Let `size` more bytes pass in that direction, then end the connection."""
        lane = self.lanes[direction]
        lane.cut_after, lane.cut_how = lane.passed + size, how

    def cut(self, how: How = "reset") -> None:
        """End every connection now."""
        for pipe in self.pipes:
            pipe.end(how)

    def refuse(self) -> None:
        """Stop listening: further connects are refused."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    # Machinery

    async def __aenter__(self) -> TcpProxy:
        self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        self.cut("close")
        tasks = [pipe.task for pipe in self.pipes if pipe.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the sockets close in the next turn

    def listen(self) -> None:
        """Listen; after `refuse` on the same port again."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.listen(128)
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self._listener = sock
        asyncio.get_running_loop().add_reader(sock, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        client.setblocking(False)
        pipe = Pipe(self, client)
        self.pipes.append(pipe)
        loop = asyncio.get_running_loop()
        pipe.task = loop.create_task(pipe.serve(), name=f"proxy pipe {self.accepted}")
