"""What the file of `--tenant-rate-limit-config` says: limits per minute by tenant and model.

Plain data in, checked values out; reading YAML is the caller's. Rules: external-security-wasm 11.1
and 11.4.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

_RULE_ID = re.compile(r"[A-Za-z0-9._-]+")


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which models a rule is for: one name, or all that begin so."""

    type: Literal["exact", "prefix"]
    value: str


class ModelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of a tenant for some models, beside the tenant's own; None is no limit."""

    rule_id: str
    matcher: Matcher
    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None


class TenantPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one tenant; None is no limit. The default policy has no `tenant_key`."""

    tenant_key: str | None = None
    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    model_rules: tuple[ModelRule, ...] = ()

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.tokens_per_minute is self.requests_per_minute is None and not self.model_rules

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a request has."""
        return self.tokens_per_minute is not None or any(
            rule.tokens_per_minute is not None for rule in self.model_rules
        )

    def rule_for(self, model: str) -> ModelRule | None:
        """The one rule that applies: the exact one, else the one with the longest prefix."""
        best = None
        for rule in self.model_rules:
            value = rule.matcher.value
            if rule.matcher.type == "exact":
                if model == value:
                    return rule
            elif model.startswith(value) and (best is None or len(value) > len(best.matcher.value)):
                best = rule
        return best


@dataclass(frozen=True)
class Policies:
    """All policies; a tenant without its own has the default one."""

    default: TenantPolicy
    tenants: tuple[TenantPolicy, ...] = ()
    _by_key: dict[str | None, TenantPolicy] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {policy.tenant_key: policy for policy in self.tenants}
        object.__setattr__(self, "_by_key", by_key)

    def of(self, tenant: str) -> TenantPolicy:
        """The policy of a tenant key."""
        return self._by_key.get(tenant, self.default)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    default_policy: TenantPolicy = TenantPolicy()
    tenants: tuple[TenantPolicy, ...] = ()


def tenant_policies(data: Any, trust_tenant_header: bool = False) -> Policies:
    """Policies from the file's content, None for an empty one. ValueError names the mistake."""
    try:
        file = msgspec.convert({} if data is None else data, _File)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if file.default_policy.tenant_key is not None:
        raise ValueError("default_policy takes no tenant_key")
    _check_policy(file.default_policy, "default_policy")
    seen: set[str] = set()
    for policy in file.tenants:
        key = policy.tenant_key
        if key is None or not is_tenant_key(key):
            raise ValueError(f"tenants: {key!r} is not a tenant key")
        if key in seen:
            raise ValueError(f"tenants: {key!r} is there twice")
        if key.startswith("header:") and not trust_tenant_header:
            raise ValueError(f"tenants: {key!r} needs --trust-tenant-header")
        seen.add(key)
        _check_policy(policy, key)
    return Policies(file.default_policy, file.tenants)


def is_tenant_key(key: str) -> bool:
    """Whether a request can have this key: `anonymous`, `auth:...`, `header:...` or `ip:...`, as
    the gateway spells it.
    """
    kind, colon, value = key.partition(":")
    if not colon:
        return key == "anonymous"
    if not value or value != value.strip():
        return False
    if kind == "header":
        return all(letter == "\t" or " " <= letter <= "~" for letter in value)
    if kind == "ip":
        try:
            return str(ipaddress.ip_address(value)) == value
        except ValueError:
            return False
    return kind == "auth"


def _check_policy(policy: TenantPolicy, where: str) -> None:
    _check_limits(policy, where)
    ids: set[str] = set()
    matched: set[tuple[str, str]] = set()
    for rule in policy.model_rules:
        place = f"{where}: rule {rule.rule_id!r}"
        if not _RULE_ID.fullmatch(rule.rule_id):
            raise ValueError(f"{place}: letters, digits, '.', '_' and '-' only")
        value = rule.matcher.value
        if not value or value != value.strip():
            raise ValueError(f"{place}: the model is empty or padded")
        match = (rule.matcher.type, value)
        if rule.rule_id in ids or match in matched:
            raise ValueError(f"{place}: there twice")
        ids.add(rule.rule_id)
        matched.add(match)
        _check_limits(rule, place)


def _check_limits(limits: TenantPolicy | ModelRule, where: str) -> None:
    for name in ("tokens_per_minute", "requests_per_minute"):
        number = getattr(limits, name)
        if number is not None and number <= 0:
            raise ValueError(f"{where}: {name} must be above 0")
