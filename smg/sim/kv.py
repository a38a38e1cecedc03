"""KV blocks that a prefill worker keeps for somebody, and how a decode worker takes them.

A protocol of our own in the place of the engines' (bootstrap rooms, NIXL, Mooncake): decode sends
`TAKE key`, prefill answers `OK` once the blocks are there and were read, or `ERR why`. What matters
to a gateway is as in the engines: decode waits for its partner and gives up after a while; a
prefill that is aborted before it committed its blocks frees them at once, afterwards they are held
until decode took them or a timer ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from smg.sim.wheel import Wheel


class TransferError(Exception):
    """Decode got no blocks; the message is for its answer."""


@dataclass(eq=False)
class Holding:
    """Blocks under a key. `taken(ok)` is called once: decode has them, or never will."""

    key: str
    blocks: int
    taken: Callable[[bool], None]
    committed: bool = False
    waiting: list[Giver] = field(default_factory=list)


class KvStore:
    """All holdings of one prefill worker. `timeout` and `transfer` are in seconds."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wheel: Wheel, timeout: float, transfer: float
    ) -> None:
        self.loop = loop
        self.wheel = wheel
        self.timeout = timeout
        self.transfer = transfer
        self.port = 0
        self.holdings: dict[str, Holding] = {}
        self.givers: set[Giver] = set()
        #: keys that were in use already when somebody else named them
        self.collisions = 0
        self.taken = 0
        self.freed = 0
        self.expired = 0
        self._early: dict[str, list[Giver]] = {}  # decode was here first
        self._server: asyncio.AbstractServer | None = None

    @property
    def held(self) -> int:
        """Blocks that nobody else can use."""
        return sum(holding.blocks for holding in self.holdings.values())

    async def listen(self, host: str, port: int) -> None:
        """Raises OSError."""
        self._server = await self.loop.create_server(
            lambda: cast(asyncio.Protocol, Giver(self)), host.strip("[]"), port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def reserve(self, key: str, blocks: int, taken: Callable[[bool], None]) -> Holding:
        """A prompt is being read into these blocks."""
        if key in self.holdings:
            self.collisions += 1
            self.release(self.holdings[key])
        holding = self.holdings[key] = Holding(key, blocks, taken)
        holding.waiting = self._early.pop(key, [])
        return holding

    def commit(self, holding: Holding) -> None:
        """The blocks are complete; from now on only decode or the timer frees them."""
        holding.committed = True
        self.wheel.at(self.loop.time() + self.timeout, Expiry(self, holding))
        for giver in list(holding.waiting):
            giver.give(holding)

    def abort(self, holding: Holding) -> None:
        """Nobody waits for the prefill's answer any more."""
        if not holding.committed and self.holdings.get(holding.key) is holding:
            self.freed += 1
            self.release(holding, "the prefill was aborted")

    def release(self, holding: Holding, why: str = "") -> None:
        """Free the blocks; whoever waits for them is told `why`."""
        if self.holdings.get(holding.key) is not holding:
            return
        del self.holdings[holding.key]
        for giver in holding.waiting:
            giver.refuse(why or "gone")
        holding.waiting = []
        holding.taken(not why)

    def wanted(self, key: str, giver: Giver) -> None:
        """A decode worker asks."""
        holding = self.holdings.get(key)
        if holding is None:
            self._early.setdefault(key, []).append(giver)
        else:
            holding.waiting.append(giver)
            if holding.committed:
                giver.give(holding)

    def forget(self, key: str, giver: Giver) -> None:
        """It asks no more."""
        holding = self.holdings.get(key)
        waiting = self._early.get(key, []) if holding is None else holding.waiting
        if giver in waiting:
            waiting.remove(giver)
        if holding is None and not waiting:
            self._early.pop(key, None)

    def report(self) -> dict[str, int]:
        """`GET /sim/kv`."""
        return {
            "held": self.held,
            "holdings": len(self.holdings),
            "taken": self.taken,
            "freed": self.freed,
            "expired": self.expired,
            "collisions": self.collisions,
            "waiting": len(self._early) + sum(len(h.waiting) for h in self.holdings.values()),
        }

    def close(self) -> None:
        """Give nothing any more."""
        if self._server is not None:
            self._server.close()
        for giver in list(self.givers):
            giver.transport.abort()


class Expiry:
    """The engine's timer of one holding."""

    def __init__(self, store: KvStore, holding: Holding) -> None:
        self._store = store
        self._holding = holding

    def fire(self, now: float) -> None:
        """Free what nobody took."""
        if self._store.holdings.get(self._holding.key) is self._holding:
            self._store.expired += 1
            self._store.release(self._holding, "nobody took the blocks in time")


class Giver(asyncio.Protocol):
    """A connection of a decode worker that asks for one key."""

    def __init__(self, store: KvStore) -> None:
        self._store = store
        self._key = ""
        self._line = b""
        self._holding: Holding | None = None
        self.transport: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)
        self._store.givers.add(self)

    def data_received(self, data: bytes) -> None:
        """`TAKE key`."""
        self._line += data
        if self._line.endswith(b"\n") and not self._key:
            self._key = self._line.decode("latin-1").split()[1]
            self._store.wanted(self._key, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Decode left: what it did not take stays."""
        self._store.givers.discard(self)
        self._store.forget(self._key, self)
        self._holding = None

    def give(self, holding: Holding) -> None:
        """The blocks are there: they are read."""
        self._holding = holding
        if self._store.transfer:
            self._store.wheel.at(self._store.loop.time() + self._store.transfer, self)
        else:
            self.fire(0.0)

    def fire(self, now: float) -> None:
        """They were read."""
        holding, self._holding = self._holding, None
        if holding is None or self._store.holdings.get(holding.key) is not holding:
            return
        holding.waiting.remove(self)
        self.transport.write(b"OK\n")
        self._store.taken += 1
        self._store.release(holding)

    def refuse(self, why: str) -> None:
        """There are none."""
        self._holding = None
        self.transport.write(b"ERR %s\n" % why.encode())


async def take(host: str, port: int, key: str, timeout: float) -> None:
    """Take the blocks under `key`; waits for them for `timeout` seconds. TransferError."""
    try:
        answer = await asyncio.wait_for(_ask(host, port, key), timeout)
    except (OSError, asyncio.TimeoutError) as error:
        raise TransferError(f"no KV blocks from prefill: {type(error).__name__}") from None
    if answer != b"OK\n":
        raise TransferError(f"no KV blocks from prefill: {answer.decode().strip() or 'it left'}")


async def _ask(host: str, port: int, key: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"TAKE %s\n" % key.encode())
        return await reader.readline()
    finally:
        writer.transport.abort()
