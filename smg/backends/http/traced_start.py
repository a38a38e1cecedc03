"""Start functions of routes while `--enable-trace` is on: they choose between a plain relay and one
that tells a span (`traced.py`). Every request passes here, nearly none has a span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from smg.backends.http.traced import Spans, traced_class

if TYPE_CHECKING:
    from smg.backends.http.metered import Meter
    from smg.server.exchange import Exchange

Start = Callable[["Exchange"], None]


class Backend(Protocol):
    """What makes the start functions of inference routes."""

    def route(
        self,
        endpoint: str,
        path: str,
        meter: Meter | None = None,
        wrap: Callable[[type[Any]], type[Any]] | None = None,
    ) -> Start:
        """See `HttpBackend`."""
        ...


def traced_route(
    backend: Backend, spans: Spans, endpoint: str, path: str, meter: Meter | None = None
) -> Start:
    """The start function of an inference route, to be put behind whatever gives requests a permit,
    as `held` is for others. `spans`: those of the requests in flight.
    """
    plain = backend.route(endpoint, path, meter)
    traced = backend.route(endpoint, path, meter, lambda relay: traced_class(relay, spans))

    def start(exchange: Exchange) -> None:
        if spans and exchange in spans:  # most of the time there are none
            spans[exchange].hold()
            traced(exchange)
        else:
            plain(exchange)

    return start


def held(start: Start, spans: Spans) -> Start:
    """`start`, behind whatever gives requests a permit: it lets the span end with them."""

    def starts(exchange: Exchange) -> None:
        if spans and exchange in spans:
            spans[exchange].hold()
        start(exchange)

    return starts
