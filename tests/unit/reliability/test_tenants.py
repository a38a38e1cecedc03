"""Limits per tenant (routing-reliability 21, external-security-wasm 11.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.reliability.tenant_policy import (
    Matcher,
    ModelRule,
    Policies,
    TenantPolicy,
    is_tenant_key,
    tenant_policies,
)
from smg.reliability.tenants import TenantLimits


def limits(most: int = 100, **per_minute: int) -> TenantLimits:
    return TenantLimits(Policies(TenantPolicy(**per_minute)), most)  # type: ignore[arg-type]


def rule(name: str, kind: str, value: str, **per_minute: int) -> ModelRule:
    return ModelRule(name, Matcher(kind, value), **per_minute)  # type: ignore[arg-type]


def test_requests_per_minute():
    state = limits(requests_per_minute=60)
    granted = [state.reserve("a", "m", 1, 0).granted for _ in range(61)]
    assert granted == [True] * 60 + [False]
    assert state.reserve("a", "m", 1, 0).retry_after == 1
    assert state.reserve("b", "m", 1, 0).granted  # every tenant has its own
    assert not state.reserve("a", "m", 1, 0.9).granted
    assert state.reserve("a", "m", 1, 1.0).granted


def test_tokens_per_minute_and_how_long_to_wait():
    state = limits(tokens_per_minute=600)
    assert state.reserve("a", "m", 500, 0).granted
    refused = state.reserve("a", "m", 200, 0)
    assert (refused.granted, refused.retry_after) == (False, 10)  # 100 missing, 10 a second
    assert state.reserve("a", "m", 100, 0).granted  # nothing was taken from the refused one
    assert state.reserve("a", "m", 601, 0).retry_after == 0  # never fits: waiting is no help
    assert state.reserve("a", "m", 50, 5).granted


def test_both_or_nothing():
    state = limits(tokens_per_minute=600, requests_per_minute=6)
    for _ in range(6):
        assert state.reserve("a", "m", 1, 0).granted
    assert state.reserve("a", "m", 1, 0).retry_after == 10
    assert state.reserve("a", "m", 594, 10).granted


def test_settling():
    state = limits(tokens_per_minute=600)
    one = state.reserve("a", "m", 100, 0)
    one.settle(300, 0)
    one.settle(300, 0)  # once
    assert not state.reserve("a", "m", 301, 0).granted
    two = state.reserve("a", "m", 300, 0)
    two.settle(900, 0)
    assert state.reserve("a", "m", 1, 0).retry_after == 61  # 600 of debt, and one
    assert state.reserve("a", "m", 1, 60.2).granted
    state.reserve("b", "m", 600, 0).settle(0, 0)
    assert state.reserve("b", "m", 600, 0).granted  # what was not used comes back


def test_a_refused_request_settles_nothing():
    state = limits(tokens_per_minute=60)
    refused = state.reserve("a", "m", 61, 0)
    refused.settle(1000, 0)
    assert state.reserve("a", "m", 60, 0).granted


def test_the_tenant_and_one_rule_are_charged():
    policy = TenantPolicy(
        requests_per_minute=120,
        model_rules=(
            rule("all", "prefix", "llama", requests_per_minute=60),
            rule("big", "prefix", "llama-70", requests_per_minute=1),
            rule("exact", "exact", "llama-70b-x", requests_per_minute=2),
        ),
    )
    assert [
        found.rule_id if (found := policy.rule_for(model)) else None
        for model in ("llama-8b", "llama-70b", "llama-70b-x", "qwen", "")
    ] == ["all", "big", "exact", None, None]
    state = TenantLimits(Policies(policy))
    assert state.reserve("a", "llama-70b", 1, 0).granted
    refused = state.reserve("a", "llama-70b", 1, 0)
    assert (refused.granted, refused.retry_after) == (False, 60)
    assert state.reserve("a", "llama-8b", 1, 0).granted
    for _ in range(118):
        assert state.reserve("a", "qwen", 1, 0).granted
    assert not state.reserve("a", "qwen", 1, 0).granted


def test_own_policies():
    state = TenantLimits(
        Policies(
            TenantPolicy(requests_per_minute=1),
            (TenantPolicy("auth:big", requests_per_minute=3), TenantPolicy("auth:free")),
        )
    )
    assert [state.reserve("auth:big", "m", 1, 0).granted for _ in range(4)] == [True] * 3 + [False]
    assert all(state.reserve("auth:free", "m", 10**9, 0).granted for _ in range(100))
    assert [state.reserve("ip:1.2.3.4", "m", 1, 0).granted for _ in range(2)] == [True, False]
    assert len(state) == 2  # without limits there is nothing to remember


def test_idle_tenants_are_forgotten():
    state = limits(requests_per_minute=60)
    for number in range(50):
        state.reserve(f"ip:{number}", "m", 1, 0)
    state.sweep(0.5)
    assert len(state) == 50
    state.sweep(1.0, 20)
    assert len(state) == 30
    state.sweep(1.0)
    assert len(state) == 0


def test_a_sweep_comes_round_to_everybody():
    state = limits(requests_per_minute=60)
    for _ in range(30):
        state.reserve("busy", "m", 1, 0)
    for number in range(3):
        state.reserve(f"ip:{number}", "m", 1, 0)
    for _ in range(4):
        state.sweep(2.0, 1)
    assert len(state) == 1


def test_strangers_do_not_fill_the_memory():
    state = limits(most=10, requests_per_minute=1)
    for number in range(1000):
        state.reserve(f"ip:{number}", "m", 1, 0)
    assert len(state) == 10
    assert not state.reserve("ip:999", "m", 1, 0).granted


def test_settling_after_the_tenant_was_forgotten():
    state = limits(tokens_per_minute=60)
    slow = state.reserve("a", "m", 10, 0)
    state.sweep(100)
    assert len(state) == 0
    slow.settle(1000, 100)
    assert not state.reserve("a", "m", 1, 100).granted


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 200), st.integers(0, 400)), max_size=40))
def test_never_more_than_the_rate_and_one_burst(steps):
    """Charged tokens of granted requests, debts included, follow the rate."""
    state = limits(tokens_per_minute=600, requests_per_minute=30)
    now, reserved, requests, settled = 0.0, 0, 0, 0
    for pause, tokens, more in steps:
        now += pause
        one = state.reserve("a", "m", tokens, now)
        if one.granted:
            # Debts of before are paid first, so what is reserved fits into burst and rate.
            assert reserved + settled + tokens <= 600 + 10 * now + 1e-6
            reserved += tokens
            settled += more
            requests += 1
            one.settle(tokens + more, now)
        else:
            assert one.retry_after >= 1
        assert requests <= 30 + 0.5 * now + 1e-6


# -- the file --------------------------------------------------------------------------------------


def test_a_file():
    policies = tenant_policies(
        {
            "default_policy": {"requests_per_minute": 60},
            "tenants": [
                {
                    "tenant_key": "auth:a",
                    "tokens_per_minute": 1000,
                    "model_rules": [
                        {
                            "rule_id": "big",
                            "matcher": {"type": "prefix", "value": "llama-70"},
                            "tokens_per_minute": 100,
                        }
                    ],
                }
            ],
        }
    )
    assert policies.of("ip:::1").requests_per_minute == 60
    assert policies.of("auth:a").requests_per_minute is None
    found = policies.of("auth:a").rule_for("llama-70b")
    assert found is not None
    assert found.tokens_per_minute == 100
    assert tenant_policies(None).of("anonymous").is_unlimited


def one(**changes: object) -> dict[str, object]:
    return {"tenants": [{"tenant_key": "auth:a", "requests_per_minute": 1, **changes}]}


def rules(*many: dict[str, object]) -> dict[str, object]:
    return one(
        model_rules=[
            {"rule_id": f"r{n}", "matcher": {"type": "exact", "value": f"m{n}"}, **changes}
            for n, changes in enumerate(many)
        ]
    )


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ([], "object"),
        ({"tenant": []}, "tenant"),
        ({"default_policy": {"tenant_key": "auth:a"}}, "tenant_key"),
        ({"default_policy": {"requests_per_minute": 0}}, "default_policy.*above 0"),
        (one(tenant_key="auth:"), "auth:"),
        (one(tenant_key=None), "None"),
        (one(tenant_key=" auth:a"), "not a tenant key"),
        (one(tenant_key="header:x"), "trust-tenant-header"),
        (one(tokens_per_minute=-1), "auth:a.*above 0"),
        (one(tokens_per_minute="many"), "int"),
        (one(requests_per_hour=1), "requests_per_hour"),
        ({"tenants": one()["tenants"] * 2}, "twice"),  # type: ignore[operator]
        (rules({"rule_id": "a b"}), "letters"),
        (rules({"rule_id": ""}), "letters"),
        (rules({"matcher": {"type": "regex", "value": "x"}}), "regex"),
        (rules({"matcher": {"type": "exact", "value": " x"}}), "padded"),
        (rules({"matcher": {"type": "exact", "value": ""}}), "empty"),
        (rules({"requests_per_minute": 0}), "r0.*above 0"),
        (rules({"rule_id": "x"}, {"rule_id": "x"}), "twice"),
        (rules({}, {"matcher": {"type": "exact", "value": "m0"}}), "twice"),
    ],
)
def test_mistakes_are_named(data, mistake):
    with pytest.raises(ValueError, match=mistake):
        tenant_policies(data)


def test_the_same_value_may_be_exact_and_prefix():
    tenant_policies(rules({}, {"matcher": {"type": "prefix", "value": "m0"}}))


def test_header_tenants_with_a_trusted_header():
    data = one(tenant_key="header:x")
    assert tenant_policies(data, True).of("header:x").requests_per_minute == 1


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        ("anonymous", True),
        ("anonymous:", False),
        ("anonymous:x", False),
        ("auth:team", True),
        ("auth:", False),
        ("auth", False),
        ("header:a\tb", True),
        ("header:ä", False),
        ("header:a\x7f", False),
        ("header: a", False),
        ("ip:10.0.0.1", True),
        ("ip:010.0.0.1", False),
        ("ip:::1", True),
        ("ip:0:0:0:0:0:0:0:1", False),
        ("ip:host", False),
        ("user:x", False),
        ("", False),
    ],
)
def test_tenant_keys(key, is_one):
    assert is_tenant_key(key) is is_one
