"""How many requests and tokens a tenant may have per minute: over all models, and by model rule.

A request reserves what is known before it runs (itself, and its prompt), and settles what it really
used. Nothing is given back when it fails: the work was done. Also the file of
`--tenant-rate-limit-config`, as plain data. Rules: routing-reliability 21, external-security-wasm
11.4.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from smg.reliability.tenant_policy import ModelRule, Policies, TenantPolicy
from smg.reliability.token_bucket import NEVER, TokenBucket

MAX_TENANTS = 100_000
_PER_TICK = 200  # all of them in about two minutes, at four ticks a second


class _Limits:
    """The two buckets of one scope; None is no limit."""

    __slots__ = ("requests", "tokens")

    def __init__(self, per_minute: TenantPolicy | ModelRule, now: float) -> None:
        self.requests = _bucket(per_minute.requests_per_minute, now)
        self.tokens = _bucket(per_minute.tokens_per_minute, now)

    def wait(self, tokens: float, now: float) -> float:
        wait = self.requests.wait(now) if self.requests is not None else 0.0
        if self.tokens is not None:
            wait = max(wait, self.tokens.wait(now, tokens))
        return wait

    def charge(self, requests: float, tokens: float, now: float) -> None:
        if self.requests is not None and requests:
            self.requests.charge(now, requests)
        if self.tokens is not None:
            self.tokens.charge(now, tokens)

    def is_full(self, now: float) -> bool:
        return all(
            bucket is None or bucket.fill(now) >= bucket.burst
            for bucket in (self.requests, self.tokens)
        )


class _Tenant:
    """A tenant's scopes; those of model rules are made when first used."""

    __slots__ = ("overall", "policy", "rules")

    def __init__(self, policy: TenantPolicy, now: float) -> None:
        self.policy = policy
        self.overall = _Limits(policy, now)
        self.rules: dict[str, _Limits] = {}

    def scopes(self, model: str, now: float) -> Sequence[_Limits]:
        rule = self.policy.rule_for(model)
        if rule is None:
            return (self.overall,)
        limits = self.rules.get(rule.rule_id)
        if limits is None:
            limits = self.rules[rule.rule_id] = _Limits(rule, now)
        return (self.overall, limits)

    def is_idle(self, now: float) -> bool:
        return self.overall.is_full(now) and all(one.is_full(now) for one in self.rules.values())


class Reservation:
    """What a request took. Not `granted`: nothing was taken; the client may come back after
    `retry_after` seconds, 0 if waiting would not help because it asks for more than ever fits.
    """

    __slots__ = ("_limits", "_model", "_tenant", "granted", "retry_after", "tokens")

    def __init__(
        self, limits: TenantLimits, tenant: str, model: str, tokens: int, retry_after: int = -1
    ) -> None:
        self._limits: TenantLimits | None = limits
        self._tenant = tenant
        self._model = model
        self.tokens = tokens
        self.granted = retry_after < 0
        self.retry_after = max(0, retry_after)

    def settle(self, used: int, now: float) -> None:
        """The request succeeded with `used` tokens, prompt and answer: charge what is missing, give
        back what was too much. May leave a debt. A second call does nothing.
        """
        limits, self._limits = self._limits, None
        if limits is not None and self.granted:
            limits.charge(self._tenant, self._model, used - self.tokens, now)


class TenantLimits:
    """The state of all tenants. Those whose buckets are full again are forgotten (`sweep`), and of
    too many the one unused for longest, so strangers cannot fill the memory.
    """

    __slots__ = ("_most", "_policies", "_tenants")

    def __init__(self, policies: Policies, most: int = MAX_TENANTS) -> None:
        self._policies = policies
        self._most = most
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()  # unused for longest first

    def __len__(self) -> int:
        return len(self._tenants)

    def configure(self, policies: Policies) -> None:
        """Other policies. Tenants whose own stay the same keep what they have used."""
        self._policies = policies
        for tenant, state in tuple(self._tenants.items()):
            if state.policy != policies.of(tenant):
                del self._tenants[tenant]

    def counts_tokens(self, tenant: str) -> bool:
        """Whether it matters how many tokens a request of this tenant has."""
        return self._policies.of(tenant).counts_tokens

    def reserve(self, tenant: str, model: str, tokens: int, now: float) -> Reservation:
        """Take one request and its prompt's `tokens` from every scope, or nothing from any.

        Once per client request, whatever the number of attempts. Seconds, monotonic.
        """
        scopes = self._scopes(tenant, model, now)
        wait = max((scope.wait(tokens, now) for scope in scopes), default=0.0)
        if wait:
            retry_after = 0 if wait == NEVER else max(1, math.ceil(wait))
            return Reservation(self, tenant, model, 0, retry_after)
        for scope in scopes:
            scope.charge(1, tokens, now)
        return Reservation(self, tenant, model, tokens)

    def charge(self, tenant: str, model: str, tokens: int, now: float) -> None:
        """Take tokens that were used, whatever there is; below 0 gives back."""
        for scope in self._scopes(tenant, model, now):
            scope.charge(0, tokens, now)

    def _scopes(self, tenant: str, model: str, now: float) -> Sequence[_Limits]:
        state = self._tenants.get(tenant)
        if state is not None:
            self._tenants.move_to_end(tenant)
            return state.scopes(model, now)
        policy = self._policies.of(tenant)
        if policy.is_unlimited:
            return ()
        while len(self._tenants) >= self._most:
            self._tenants.popitem(last=False)
        state = self._tenants[tenant] = _Tenant(policy, now)
        return state.scopes(model, now)

    def sweep(self, now: float, most: int = _PER_TICK) -> None:
        """Look at the `most` tenants unused for longest and forget those that owe nothing."""
        for tenant in tuple(islice(self._tenants, most)):
            if self._tenants[tenant].is_idle(now):
                del self._tenants[tenant]
            else:
                self._tenants.move_to_end(tenant)  # look at others next time


def _bucket(per_minute: int | None, now: float) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute / 60, per_minute, now)
