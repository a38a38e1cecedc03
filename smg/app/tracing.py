"""What `--enable-trace` puts in the place of the plain server and routes; the flush at the end.

Imported only then; without the flag no request meets any of it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from smg.backends.http.traced_start import Backend, Start, held, traced_route
from smg.core.errors import ConfigError
from smg.server.tracing import RequestTracer, TracedServer
from smg.version import __version__

if TYPE_CHECKING:
    from smg.backends.http.metered import Meter
    from smg.config.settings import RouterConfig
    from smg.observability.logging import LogHandle

log = logging.getLogger(__name__)

#: what is queued at the end has this long to reach the collector (seconds)
FLUSH_SECS = 3.0


class Tracing:
    """Of one gateway. `server` is called like the class it replaces.

    Raises ConfigError if the exporter cannot be built.
    """

    def __init__(self, config: RouterConfig, log_handle: LogHandle | None) -> None:
        endpoint = config.otlp_traces_endpoint
        if "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        try:
            from smg.observability.tracing.export import SpanExport

            redact = str if log_handle is None else log_handle.redactor
            self._export = SpanExport(endpoint, __version__, redact)
        except Exception as error:  # packages missing; certificates that cannot be read
            raise ConfigError([f"--enable-trace: {error}"]) from error
        tracer = RequestTracer(config.trace_sampling_ratio, self._export.emit)
        self.spans = tracer.spans
        self.server: Callable[..., TracedServer] = functools.partial(TracedServer, tracer=tracer)
        log.info(
            "traces go to %s, %g of those that begin here", endpoint, config.trace_sampling_ratio
        )

    def route(
        self, backend: Backend, endpoint: str, path: str, meter: Meter | None = None
    ) -> Start:
        """What starts an inference route; to be put where `held` is for others."""
        return traced_route(backend, self.spans, endpoint, path, meter)

    def held(self, start: Start) -> Start:
        """`start`, behind whatever gives requests a permit: it lets the span end with them."""
        return held(start, self.spans)

    async def close(self) -> None:
        """Flush, for at most `FLUSH_SECS`; call it when the server has stopped."""
        loop = asyncio.get_running_loop()
        flushed = asyncio.Event()

        def flush() -> None:
            self._export.close()
            try:
                loop.call_soon_threadsafe(flushed.set)
            except RuntimeError:  # too late, the loop is closed
                pass

        # A daemon, and not the loop's executor: neither may keep the process from ending.
        threading.Thread(target=flush, name="smg-trace-flush", daemon=True).start()
        try:
            await asyncio.wait_for(flushed.wait(), FLUSH_SECS)
        except asyncio.TimeoutError:
            self._export.abandon()
            log.warning("the last traces were not exported: the collector does not answer")
