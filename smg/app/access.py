"""Joins the server to the access log and the audit log: one attribute read per request while they
are silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg._speedups.clock import perf_counter
from smg.observability.access_log import AccessLog

if TYPE_CHECKING:
    from smg.app.authorization import AuditTrail
    from smg.observability.logging import LogHandle
    from smg.server.exchange import Exchange
    from smg.server.listener import HttpServer


class ServerLog:
    """Sets `server.log_requests` and `server.log_from_status`, and follows level changes.

    `trail` is told of every answer, whatever the access log writes.
    """

    def __init__(
        self, server: HttpServer, handle: LogHandle | None, trail: AuditTrail | None = None
    ) -> None:
        self._server = server
        self._trail = trail
        self._from_status = 0
        self._log = AccessLog(handle)
        server.access_log = self
        self._refresh()
        if handle is not None:
            handle.subscribe(self._refresh)

    def _refresh(self) -> None:
        log = self._log
        log.refresh()
        self._server.log_requests = log.enabled_info
        self._from_status = 0 if log.enabled_info else 400
        self._server.log_from_status = 0 if self._trail is not None else self._from_status

    @property
    def trail(self) -> AuditTrail | None:
        """Who is told of every answer."""
        return self._trail

    def follow(self, trail: AuditTrail | None) -> None:
        """Tell `trail` from now on. One that still waits for answers is not left without them."""
        if trail is not None or self._trail is None or not self._trail.waits:
            self._trail = trail
            self._refresh()

    def request(self, exchange: Exchange) -> None:
        """A request head came."""
        self._log.request_started(
            exchange.method,
            exchange.target,
            exchange.version,
            exchange.request_id,
            exchange.endpoint.probe,
        )

    def response(self, exchange: Exchange) -> None:
        """The answer's head is out."""
        if self._trail is not None:
            self._trail.answered(exchange)
            if exchange.status < self._from_status:
                return
        self._log.response_head(
            exchange.method,
            exchange.target,
            exchange.version,
            exchange.request_id,
            exchange.status,
            int((perf_counter() - exchange.started) * 1000000),
            exchange.endpoint.probe,
        )

    def broken(
        self, exchange: Exchange, error: str, worker: str, cause: BaseException | str | None
    ) -> None:
        """The body broke after its head."""
        self._log.stream_failed(
            exchange.method,
            exchange.target,
            exchange.version,
            exchange.request_id,
            error,
            worker,
            cause,
        )

    def unanswered(self, exchange: Exchange) -> None:
        """There will be no answer."""
        if self._trail is not None:
            self._trail.unanswered(exchange)
