"""Joins the server to the access log: one attribute read per request while it is silent."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from smg.observability.access_log import AccessLog

if TYPE_CHECKING:
    from smg.observability.logging import LogHandle
    from smg.server.exchange import Exchange
    from smg.server.listener import HttpServer

_NEVER = 1000


class ServerLog:
    """Sets `server.log_requests` and `server.log_from_status`, and follows level changes."""

    def __init__(self, server: HttpServer, handle: LogHandle | None) -> None:
        self._server = server
        self._log = AccessLog(handle)
        server.access_log = self
        self._refresh()
        if handle is not None:
            handle.subscribe(self._refresh)

    def _refresh(self) -> None:
        log = self._log
        log.refresh()
        self._server.log_requests = log.enabled_info
        if log.enabled_info:
            self._server.log_from_status = 0
        else:
            self._server.log_from_status = 400

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
        self._log.response_head(
            exchange.method,
            exchange.target,
            exchange.version,
            exchange.request_id,
            exchange.status,
            int((perf_counter() - exchange.started) * 1e6),
            exchange.endpoint.probe,
        )
