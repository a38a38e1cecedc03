"""Keys of the control plane: who is calling, and what a refusal says (external-security-wasm 9.2,
9.3).
"""

from __future__ import annotations

import hmac

import pytest

from smg.auth import control
from smg.auth.control import ControlKeys, Decision, Principal, bearer
from smg.core.errors import GatewayError

KEYS = ControlKeys(
    [
        ("ops", "Operations Team", "key-of-ops", "admin"),
        ("view", "Viewer", "key-of-view", "user"),
        ("ci", "CI", "x:y:z", "admin"),
    ]
)
CHALLENGE = (b"www-authenticate", b'Bearer realm="control-plane"')


def decide(*values: bytes) -> Decision:
    return KEYS.decide([(b"host", b"h"), *((b"authorization", value) for value in values)])


def told(decision: Decision) -> tuple[int, object, str]:
    assert isinstance(decision.error, GatewayError)
    return decision.error.status, decision.error.code, decision.error.message


@pytest.mark.parametrize(
    "value", [b"Bearer key-of-ops", b"bearer key-of-ops", b"BEARER  key-of-ops "]
)
def test_an_admin_is_let_in(value: bytes) -> None:
    decision = decide(value)
    assert decision.error is None
    assert decision.principal == Principal("ops", "Operations Team", "api_key:ops", "admin")


def test_a_key_with_colons() -> None:
    found = decide(b"Bearer x:y:z").principal
    assert found is not None
    assert found.id == "ci"


def test_a_user_is_known_and_refused() -> None:
    decision = decide(b"Bearer key-of-view")
    assert decision.principal == Principal("view", "Viewer", "api_key:view", "user")
    assert told(decision) == (
        403,
        "admin_role_required",
        "Admin role required for control plane access",
    )
    assert decision.error is not None
    assert decision.error.headers == ()


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"key-of-ops",),
        (b"Basic key-of-ops",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Bearerkey-of-ops",),
        # Which of two counts would be a guess, also when both are right.
        (b"Bearer key-of-ops", b"Bearer key-of-ops"),
        (b"Bearer key-of-ops", b"Basic x"),
    ],
)
def test_without_one_bearer_token(values: tuple[bytes, ...]) -> None:
    decision = decide(*values)
    assert told(decision) == (401, "invalid_api_key", "Missing or invalid Authorization header")
    assert decision.error is not None
    assert decision.error.headers == (CHALLENGE,)
    assert decision.principal is None


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"])
def test_other_headers_do_not_count(name: bytes) -> None:
    headers = [(name, b"key-of-ops")]
    assert told(KEYS.decide(headers))[0] == 401
    assert KEYS.principal(headers) is None


@pytest.mark.parametrize(
    "token",
    [b"x", b"key-of-op", b"key-of-opss", b"KEY-OF-OPS", b"ops", b"\xff", b"x:y", b"a" * 9999],
)
def test_an_unknown_token(token: bytes) -> None:
    decision = decide(b"Bearer " + token)
    assert told(decision) == (401, "invalid_api_key", "Invalid authentication token")
    assert decision.error is not None
    assert decision.error.headers == (CHALLENGE,)
    assert decision.principal is None


def test_every_entry_is_compared_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    class Spy:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(control, "hmac", Spy)
    for token in (b"key-of-ops", b"key-of-view", b"no key", b""):
        compared.clear()
        KEYS.find(token)
        assert len(compared) == 3
        assert all(len(left) == len(right) == 32 for left, right in compared)
    assert not any("key-of" in repr(value) for value in vars(KEYS).values())


def test_nobody_is_let_in_without_entries() -> None:
    assert told(ControlKeys(()).decide([(b"authorization", b"Bearer x")]))[0] == 401


def test_principal_in_any_role() -> None:
    found = KEYS.principal([(b"authorization", b"Bearer key-of-view")])
    assert found is not None
    assert found.role == "user"
    assert KEYS.principal([]) is None


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key"])
def test_a_key_is_seen_wherever_one_may_stand(name: bytes) -> None:
    assert KEYS.presented([(b"host", b"h"), (name, b"key-of-view")])
    assert KEYS.presented([(b"authorization", b"Basic x"), (b"authorization", b"bearer x:y:z")])
    assert not KEYS.presented([(name, b"other"), (b"cookie", b"key-of-ops")])


def test_bearer() -> None:
    assert bearer([(b"authorization", b"Bearer  a b ")]) == b"a b"
    assert bearer([(b"authorization", b"Token a")]) is None
