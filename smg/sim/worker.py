"""One running worker: engine, routes and listener, in somebody's loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

from smg.server import HttpServer, ServerSettings
from smg.server.listener import BACKLOG, bind
from smg.server.protocol import ClientConnection
from smg.sim.engine import Engine
from smg.sim.pairs import PairEngine
from smg.sim.routes import routes
from smg.sim.settings import SimSettings

# Longer than the idle time of any gateway's pool, so that the gateway closes idle connections and
# not we.
IDLE_SECS = 600.0


class SimConnection(ClientConnection):
    """A connection that may be refused when it is accepted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the fault book first."""
        super().connection_made(transport)
        server = self.server
        if (
            isinstance(server, SimServer)
            and server.engine.faults.faults
            and server.engine.faults.refuses()
        ):
            server.engine.struck += 1
            server.reset(self.transport)


class SimServer(HttpServer):
    """The listener of a simulated engine."""

    def __init__(self, engine: Engine) -> None:
        settings = ServerSettings(idle_timeout=IDLE_SECS, request_id_headers=(b"x-request-id",))
        super().__init__(routes(engine), settings)
        self.engine = engine

    async def open(self, host: str, port: int) -> None:
        """Listen; raises OSError."""
        for sock in bind(host, port):
            listener = await self.loop.create_server(
                lambda: cast(asyncio.Protocol, SimConnection(self)), sock=sock, backlog=BACKLOG
            )
            self._listeners.append(listener)
            self.port = sock.getsockname()[1]


class Worker:
    """Start with `await open()`; `url` is then known, also for port 0."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        kind = Engine if settings.role == "regular" else PairEngine
        self.engine = kind(settings, asyncio.get_running_loop())
        self._server = SimServer(self.engine)

    async def open(self) -> None:
        """Listen; raises OSError."""
        if isinstance(self.engine, PairEngine):
            await self.engine.open(self.settings.host)
        await self._server.open(self.settings.host, self.settings.port)
        port = self._server.port
        self.settings = self.engine.settings = replace(self.settings, port=port)
        self.engine.faults.port = port

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        host = self.settings.host.strip("[]")
        return (
            f"http://[{host}]:{self.settings.port}"
            if ":" in host
            else f"http://{host}:{self.settings.port}"
        )

    async def close(self, grace: float = 0.0) -> None:
        """Stop accepting, let answers end for `grace` seconds, then cut."""
        await self._server.close(grace)
        self.engine.close()
        if isinstance(self.engine, PairEngine):
            await self.engine.tasks.close()
