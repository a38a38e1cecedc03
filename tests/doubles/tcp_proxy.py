"""A bad network between two sockets: stalls, delays, drips, cuts, refuses, hangs.

`up` is what the client sends, `down` what comes back. Settings apply to bytes that pass from then
on, on every open connection. A trap springs once, at an exact byte:

    trap = proxy.trap(30, "reset")
    ...                                   # the client sends a request
    await trap.reached.wait()             # 30 bytes of the answer are on their way, no more
    trap.go.set()                         # now it happens
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.doubles.raw_client import RESET

Direction = Literal["up", "down"]
How = Literal["close", "reset"]
#: end both sides, swallow what comes, put bytes in between, or only wait; then a byte at a time
Act = Literal["close", "reset", "swallow", "inject", "pause", "drip"]
PIECE = 65536


@dataclass
class Trap:
    """What happens when a direction has let so many bytes through, to the connection that carries
    them.
    """

    at: int
    act: Act
    data: bytes = b""  # what "inject" puts in between
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    pipe: Pipe | None = None  # the connection it caught


@dataclass
class Lane:
    """One direction, all connections together."""

    delay: float = 0.0  # seconds added to each piece
    drip: int = PIECE  # largest piece passed on at once
    trap: Trap | None = None
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
            while await asyncio.get_running_loop().sock_recv(self.client, PIECE):
                pass
            self.end("close")
            return
        if self.proxy.turn_away is not None:
            self.end(self.proxy.turn_away)
            return
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
        swallow = drip = False
        while data := await loop.sock_recv(source, lane.drip):
            await lane.flowing.wait()
            if lane.delay:
                await asyncio.sleep(lane.delay)
            trap = lane.trap
            if trap is not None and lane.passed + len(data) >= trap.at:
                lane.trap = None
                before = data[: trap.at - lane.passed]
                lane.passed += len(before)
                await loop.sock_sendall(sink, before)
                trap.pipe = self
                trap.reached.set()
                await trap.go.wait()
                if trap.act == "close" or trap.act == "reset":
                    raise _Cut(trap.act)
                data = data[len(before) :]
                if trap.act == "inject":
                    await loop.sock_sendall(sink, trap.data)
                swallow, drip = trap.act == "swallow", trap.act == "drip"
            if swallow:
                continue
            lane.passed += len(data)
            if drip:
                for byte in data:
                    await loop.sock_sendall(sink, bytes((byte,)))
                    await asyncio.sleep(0)
            else:
                await loop.sock_sendall(sink, data)
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
        self.turn_away: How | None = None  # accept and end the connection at once
        self.lanes: dict[Direction, Lane] = {"up": Lane(), "down": Lane()}
        self.port = 0
        self.pipes: list[Pipe] = []
        self._listener: socket.socket | None = None
        self._crowd = contextlib.ExitStack()

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
        self.trap(size, how, direction).go.set()

    def trap(
        self, size: int, act: Act, direction: Direction = "down", *, data: bytes = b""
    ) -> Trap:
        """Let `size` more bytes pass in that direction, hold the rest back, and `act` when told."""
        lane = self.lanes[direction]
        lane.trap = Trap(lane.passed + size, act, data)
        return lane.trap

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
        self._crowd.close()

    def hang(self) -> None:
        """Accept nobody: further connects hang. Ended by `refuse`."""
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener)
        self._crowd.enter_context(_crowded(self._listener))

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


@contextlib.contextmanager
def _crowded(listener: socket.socket) -> Iterator[None]:
    """Fills a listener's queue, so that further connects hang."""
    listener.listen(0)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port where connects hang: its queue is full and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        with _crowded(listener):
            yield listener.getsockname()[1]
