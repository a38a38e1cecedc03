"""The credential matrix: every row with every credential (external-security-wasm 8)."""

from __future__ import annotations

from typing import Any

import pytest

from smg.auth.access import Access
from smg.config.settings import RouterConfig

SHARED, TENANT, ADMIN, USER = "shared-key", "tenant-key", "admin-key", "user-key"
OPERATORS = (("o", "O", ADMIN, "admin"), ("u", "U", USER, "user"))

CONFIGS: dict[str, dict[str, Any]] = {
    "shared": {"api_key": SHARED},
    "shared and tenants": {"api_key": SHARED, "tenant_api_key": (f"t:{TENANT}",)},
    "tenants": {"tenant_api_key": (f"t:{TENANT}",)},
    "control": {"control_plane_api_keys": OPERATORS},
    "control and shared": {"control_plane_api_keys": OPERATORS, "api_key": SHARED},
    "control and tenants": {
        "control_plane_api_keys": OPERATORS,
        "tenant_api_key": (f"t:{TENANT}",),
    },
}
EVERYBODY = {"nothing", "wrong", "shared", "tenant", "admin", "user"}
CREDENTIALS = {
    "nothing": (),
    "wrong": ((b"authorization", b"Bearer wrong"),),
    "shared": ((b"authorization", f"Bearer {SHARED}".encode()),),
    "tenant": ((b"authorization", f"Bearer {TENANT}".encode()),),
    "admin": ((b"authorization", f"Bearer {ADMIN}".encode()),),
    "user": ((b"authorization", f"Bearer {USER}".encode()),),
}
#: who may use the data plane, the control plane, and what both may read; whom info routes trust
MATRIX: dict[str, tuple[set[str], set[str], set[str], set[str]]] = {
    "shared": ({"shared"}, {"shared"}, {"shared"}, {"shared"}),
    "shared and tenants": (
        {"shared", "tenant"},
        {"shared"},
        {"shared", "tenant"},
        {"shared", "tenant"},
    ),
    "tenants": ({"tenant"}, set(), {"tenant"}, {"tenant"}),
    "control": (EVERYBODY, {"admin"}, EVERYBODY, {"admin", "user"}),
    "control and shared": (
        {"shared"},
        {"admin"},
        {"shared", "admin", "user"},
        {"shared", "admin", "user"},
    ),
    "control and tenants": (
        {"tenant"},
        {"admin"},
        {"tenant", "admin", "user"},
        {"tenant", "admin", "user"},
    ),
}


def access(**config: Any) -> Access:
    made = Access.from_config(RouterConfig(**config))
    assert made is not None
    return made


@pytest.mark.parametrize("row", CONFIGS)
def test_the_matrix(row: str) -> None:
    keys = access(**CONFIGS[row])
    data, control, either, trusted = MATRIX[row]

    def admitted(question: Any) -> set[str]:
        return {name for name, headers in CREDENTIALS.items() if question(headers)}

    assert admitted(keys.data) == data
    assert admitted(lambda headers: keys.control(headers).error is None) == control
    assert admitted(keys.either) == either
    assert admitted(keys.trusted) == trusted


def test_without_keys_nobody_is_asked() -> None:
    assert Access.from_config(RouterConfig()) is None


@pytest.mark.parametrize(
    "config",
    [
        {"api_key": ""},
        {"tenant_api_key": ("nosep",)},
        {"tenant_api_key": ("t:",)},
        {"tenant_api_key": (" t:k",)},
        {"tenant_api_key": ("t:k", "u:k")},
        {"tenant_api_key": ("t:k",), "api_key": "k"},
    ],
)
def test_malformed_keys_open_nothing(config: dict[str, Any]) -> None:
    """They are found with the other configuration errors; here is the last line of defence."""
    with pytest.raises(ValueError, match=r"(?i)key"):
        Access.from_config(RouterConfig(**config))


def test_how_a_refusal_depends_on_the_plane() -> None:
    without = access(**CONFIGS["tenants"]).control(CREDENTIALS["tenant"]).error
    assert without is not None
    assert (without.status, without.headers) == (401, ((b"www-authenticate", b"Bearer"),))
    own = access(**CONFIGS["control"]).control(CREDENTIALS["shared"]).error
    assert own is not None
    assert own.headers == ((b"www-authenticate", b'Bearer realm="control-plane"'),)


def test_who_is_calling() -> None:
    keys = access(**CONFIGS["control and tenants"])
    assert keys.identity(CREDENTIALS["tenant"]) == "auth:t"
    assert keys.identity(CREDENTIALS["admin"]) is None
    found = keys.principal(CREDENTIALS["user"])
    assert found is not None
    assert found.method == "api_key:u"
    assert keys.principal(CREDENTIALS["tenant"]) is None
    assert access(**CONFIGS["control"]).identity(CREDENTIALS["tenant"]) is None
    assert access(**CONFIGS["shared"]).principal(CREDENTIALS["admin"]) is None


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key"])
def test_own_keys_are_not_forwarded(name: bytes) -> None:
    keys = access(**CONFIGS["control and tenants"])
    host, foreign = (b"host", b"h"), (b"authorization", b"Bearer provider-key")
    for own in (TENANT, ADMIN, USER):
        headers = [host, (name, own.encode()), foreign]
        assert keys.owns(headers)
        assert keys.without_own_keys(headers) == [host, foreign]
    plain = [host, foreign, (name, b"provider-key-too")]
    assert not keys.owns(plain)
    assert keys.without_own_keys(plain) == plain
