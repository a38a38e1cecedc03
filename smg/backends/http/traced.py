"""Relaying while `--enable-trace` is on: a request that has a span tells it what happens on the way
to the worker. Requests without one take the plain relays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from smg._speedups.clock import perf_counter
from smg.backends.http.pd.pair import PairRelay
from smg.backends.http.relay import Relay

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.backends.http.pd.leg import PrefillLeg
    from smg.core.errors import UpstreamError
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.server.tracing import RequestSpan
    from smg.upstream.connection import UpstreamConnection

Spans = Mapping["Exchange", "RequestSpan"]


def traced_class(relay: type[Any], spans: Spans) -> type[Any]:
    """A kind of relay whose steps are events of the request's span."""
    first = TracedPair if issubclass(relay, PairRelay) else TracedRelay
    bases = (first,) if relay is Relay else (first, relay)
    return type(f"Traced{relay.__name__}", bases, {"spans": spans})


class TracedRelay(Relay):
    """Stands before another kind of relay, or is a plain one; made by `traced_class`."""

    spans: ClassVar[Spans]

    def __init__(
        self,
        backend: RelayContext,
        exchange: Exchange,
        body: CheckedBody,
        endpoint: str,
        path: str,
        *more: Any,
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path, *more)
        self._traced = self.spans[exchange]
        self._traced.relaying = True
        self._answered_with: ReplyHead | None = None
        self._traced.span.attributes["model"] = self.model

    def _url(self) -> str | None:
        worker = self._worker
        return None if worker is None else worker.url

    def _send(self, conn: UpstreamConnection) -> None:
        super()._send(conn)
        self._sent_to()

    def _sent_to(self) -> None:
        self._traced.span.add("request sent", {"url": self._url()})

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send the head on, or try again."""
        if head is not self._answered_with:  # one that was held back comes a second time
            self._answered_with = head
            attributes = {"url": self._url(), "status_code": head.status}
            self._traced.span.add("response received", attributes)
        super().upstream_head(conn, head)
        if self._head:  # it goes out now, the body follows
            self._traced.head_at = perf_counter()

    def _failed_before_head(self, error: UpstreamError, reused: bool) -> None:
        self._failed(self._url(), str(error.code))
        super()._failed_before_head(error, reused)

    def first_byte_late(self) -> None:
        """The worker took the request and says nothing."""
        self._failed(self._url(), "first_byte_late")
        super().first_byte_late()

    def _failed(self, url: str | None, error: str) -> None:
        self._traced.span.add("attempt failed", {"url": url, "error": error})

    def _break_off(
        self, conn: UpstreamConnection | None, code: str, message: str, error: UpstreamError | None
    ) -> None:
        self._traced.error = code
        super()._break_off(conn, code, message, error)

    def _end(self, evidence: int) -> None:
        self._traced.relaying = False
        super()._end(evidence)


class TracedPair(TracedRelay, PairRelay):
    """The same for requests to a pair: their events name both workers, or the one that failed."""

    def _sent_to(self) -> None:
        leg = self._leg
        if leg is None or self._worker is None:
            super()._sent_to()
            return
        urls = {"prefill_url": leg.worker.url, "decode_url": self._worker.url}
        self._traced.span.add("request sent", urls)

    def prefill_refused(self, leg: PrefillLeg, head: ReplyHead) -> None:
        """The prefill worker answers with an error."""
        attributes = {"url": leg.worker.url, "status_code": head.status}
        self._traced.span.add("response received", attributes)
        super().prefill_refused(leg, head)

    def prefill_failed(self, leg: PrefillLeg, error: UpstreamError) -> None:
        """There is no answer, or it broke off while it mattered."""
        if not self.exchange.head_sent:
            self._failed(leg.worker.url, str(error.code))
        super().prefill_failed(leg, error)
