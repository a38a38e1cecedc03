"""Joins the keys to the server: what `authorize` answers for a matched route, whom the info routes
trust, and the audit line of every decision of the control plane.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.auth import audit
from smg.auth.access import Access
from smg.auth.control import Principal
from smg.auth.keys import unauthorized
from smg.server import Auth

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig
    from smg.core.errors import GatewayError
    from smg.server import Exchange

log = logging.getLogger(__name__)

#: an attribute of an Enum class is a slow look-up
_DATA, _CONTROL, _EITHER = Auth.DATA, Auth.CONTROL, Auth.EITHER
_NO_ANSWER = "no answer was sent: the client left or the gateway stopped"


class AuditTrail:
    """Writes the audit lines of one server. A refusal is written at once; who is let in has to wait
    for the status, and for no longer than the request lasts.
    """

    def __init__(self) -> None:
        self._waiting: dict[Exchange, Principal] = {}

    @property
    def waits(self) -> bool:
        """Whether somebody was let in and not answered yet."""
        return bool(self._waiting)

    def granted(self, exchange: Exchange, principal: Principal) -> None:
        """Let in; the line comes with the answer, or when it is clear that there will be none."""
        self._waiting[exchange] = principal

    def denied(self, exchange: Exchange, principal: Principal | None, error: GatewayError) -> None:
        """Not let in, whoever it was."""
        audit.denied(_request(exchange), principal, error.status, error.message)

    def answered(self, exchange: Exchange) -> None:
        """The head of an answer is out; told of every request."""
        principal = self._waiting.pop(exchange, None)
        if principal is not None:
            audit.granted(_request(exchange), principal, exchange.status)

    def unanswered(self, exchange: Exchange) -> None:
        """A request ended without an answer; told of every request."""
        principal = self._waiting.pop(exchange, None)
        if principal is not None:
            audit.granted(_request(exchange), principal, None, _NO_ANSWER)


class Authorization:
    """What the server asks per request, once there are keys.

    `trail` is None without control-plane keys, or when the audit log is off; else the one that is
    given, for it may know who still waits.
    """

    def __init__(
        self, access: Access, *, audited: bool = True, trail: AuditTrail | None = None
    ) -> None:
        self.access = access
        self.trail: AuditTrail | None = None
        if audited and access.control_keys is not None:
            self.trail = trail or AuditTrail()
        self._data_keys = access.data_keys

    @classmethod
    def from_config(
        cls, config: RouterConfig, trail: AuditTrail | None = None
    ) -> Authorization | None:
        """None when no keys are configured: the server then asks nobody."""
        access = Access.from_config(config)
        if access is None:
            return None
        return cls(access, audited=not config.disable_audit_logging, trail=trail)

    def authorize(self, exchange: Exchange) -> GatewayError | None:
        """Called for every matched route that is not public: the answer, if it must not go on."""
        auth = exchange.endpoint.auth
        if auth is _DATA:
            if self._data_keys is None:
                # Open, but a control-plane key that came along is nothing for a worker to see.
                if self.access.owns(exchange.headers):
                    exchange.headers = self.access.without_own_keys(exchange.headers)
                return None
            if self._data_keys.identity(exchange.headers) is not None:
                return None
            return unauthorized(messages=exchange.route.endpoint == "messages")
        if auth is _CONTROL:
            return self._control(exchange)
        if auth is _EITHER and self.access.either(exchange.headers):
            return None
        return unauthorized()  # whatever the class: what nobody opened is closed

    def trusted(self, exchange: Exchange) -> bool:
        """Whether the client of a public route has shown a valid key."""
        return self.access.trusted(exchange.headers)

    def _control(self, exchange: Exchange) -> GatewayError | None:
        decision = self.access.control(exchange.headers)
        if self.trail is not None:
            if decision.error is not None:
                self.trail.denied(exchange, decision.principal, decision.error)
            elif decision.principal is not None:
                self.trail.granted(exchange, decision.principal)
        return decision.error


def warn_if_open(guard: Authorization | None, addresses: Sequence[str]) -> None:
    """Say so when anybody in the network may call the admin routes. `addresses`: where we listen,
    numeric.
    """
    if guard is None and not all(map(is_loopback, addresses)):
        log.warning(
            "admin routes are open to everybody who reaches this address: set"
            " --control-plane-api-keys, or --api-key, or listen on a loopback address"
        )


def is_loopback(address: str) -> bool:
    """Whether a numeric address, with or without a zone, is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _request(exchange: Exchange) -> audit.Request:
    params = exchange.params
    resource = next(iter(params.values()), None) if params else None
    return audit.Request(exchange.method, exchange.path, resource, exchange.request_id)
