"""Whose a request is, and how much of the models its tenant may have.

Rules: external-security-wasm 11.1 and 11.4, routing-reliability 21.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from smg.protocols.usage import estimate
from smg.reliability.refusals import tenant_limit
from smg.reliability.tenants import Reservation, TenantLimits

if TYPE_CHECKING:
    from smg.auth import Access
    from smg.core.deadlines import Ticker
    from smg.protocols import CheckedBody
    from smg.reliability.tenant_policy import Policies
    from smg.server.exchange import Exchange

Tenant = Callable[["Exchange"], str]

ANONYMOUS = "anonymous"


def tenant_of(access: Callable[[], Access | None], header: bytes | None) -> Tenant:
    """What tells whose a request is: the key that it shows, the header that an operator trusts, the
    address that it comes from. The header also tells apart who share the shared key.

    `access` gives the keys in force; `header` is in lower case, None if none is trusted.
    """

    def tenant(exchange: Exchange) -> str:
        keys = access()
        known = keys.identity(exchange.headers) if keys is not None else None
        shared = known is not None and keys is not None and keys.is_shared(known)
        if known is not None and not shared:
            return known
        if header is not None and (said := _name(exchange.header(header))):
            return f"header:{said}"
        return known if known is not None else _address(exchange)

    return tenant


def _name(value: bytes | None) -> str:
    """A header's text; empty unless it is visible ASCII."""
    text = (value or b"").strip().decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""


def _address(exchange: Exchange) -> str:
    peer = exchange.conn.transport.get_extra_info("peername")
    if not isinstance(peer, tuple) or not peer or not peer[0]:
        return ANONYMOUS
    return "ip:" + str(peer[0]).partition("%")[0]


class TenantMeter:
    """Limits per minute before the workers, on every inference route.

    `canonical` gives the id of the model that a client means, so that an alias is no way round a
    rule.
    """

    def __init__(
        self,
        policies: Policies,
        ticker: Ticker,
        *,
        tenant: Tenant,
        canonical: Callable[[str], str],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._limits = TenantLimits(policies)
        self._ticker = ticker
        self._tenant = tenant
        self._canonical = canonical
        self._clock = clock
        ticker.subscribe(self._tick)

    def close(self) -> None:
        """Forget nobody any more."""
        self._ticker.unsubscribe(self._tick)

    def configure(self, policies: Policies, tenant: Tenant) -> None:
        """Other limits; what was used under those that stay still counts."""
        self._limits.configure(policies)
        self._tenant = tenant

    def begin(self, exchange: Exchange, body: CheckedBody, endpoint: str) -> Reservation | None:
        """Take one request and its prompt from the tenant; see `Meter`."""
        tenant = self._tenant(exchange)
        counts_tokens = self._limits.counts_tokens(tenant)
        tokens = estimate(endpoint, body.data) if counts_tokens else 0
        model = self._canonical(body.model)
        reservation = self._limits.reserve(tenant, model, tokens, self._clock())
        if not reservation.granted:
            raise tenant_limit(reservation.retry_after)
        return reservation if counts_tokens else None

    def _tick(self, now: float) -> None:
        self._limits.sweep(self._clock())
