"""The HTTP backend: the functions that inference routes start."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from smg.backends.http.context import RelayContext, RelaySettings
from smg.backends.http.metered import MeteredRelay
from smg.backends.http.relay import Relay
from smg.backends.http.rerank import RerankRelay
from smg.protocols import CHECKERS, generate

if TYPE_CHECKING:
    from smg.backends.http.metered import Meter
    from smg.server.exchange import Exchange


class HttpBackend(RelayContext):
    """Reaches workers over HTTP by relaying bytes. Arguments: `RelayContext`."""

    def __init__(self, *, settings: RelaySettings, **shared: Any) -> None:
        super().__init__(
            timed_out=Relay.timed_out, late=Relay.first_byte_late, settings=settings, **shared
        )
        self._needs_model = settings.needs_model

    def route(
        self,
        endpoint: str,
        path: str,
        meter: Meter | None = None,
        wrap: Callable[[type[Any]], type[Any]] | None = None,
    ) -> Callable[[Exchange], None]:
        """The start function of an inference route: check the body, then relay it to `path` of a
        worker. `meter` limits how much a client may have. `wrap` makes the classes to relay with
        of the usual ones.
        """
        check = CHECKERS[endpoint]
        if self._needs_model and endpoint == "generate":
            check = generate.check_model
        reshapes = endpoint in ("rerank", "v1_rerank")
        relay: type[Relay] = RerankRelay if reshapes else Relay
        metered = MeteredRelay
        if wrap is not None:
            relay, metered = wrap(relay), wrap(metered)
        label = "rerank" if endpoint == "v1_rerank" else endpoint

        def start(exchange: Exchange) -> None:
            body = check(exchange.body, exchange.content_type)
            exchange.body = b""
            relay(self, exchange, body, label, path).start()

        def metered_start(exchange: Exchange) -> None:
            assert meter is not None
            body = check(exchange.body, exchange.content_type)
            exchange.body = b""
            reservation = meter.begin(exchange, body, label)
            if reservation is None or reshapes:  # a reshaped answer tells no usage
                relay(self, exchange, body, label, path).start()
            else:
                metered(self, exchange, body, label, path, reservation).start()

        return start if meter is None else metered_start
