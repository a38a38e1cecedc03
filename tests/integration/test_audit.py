"""The gateway as a process with control-plane keys: its log says who did what, and no key."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.doubles.gateway import GatewayProcess

KEYS = {"CONTROL_PLANE_API_KEYS": "ops:Ops Team:admin:key-of-ops\nview:V:user:key-of-view"}


def call(gateway: GatewayProcess, path: str, key: str | None) -> int:
    """Status of a GET."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(gateway.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def lines(gateway: GatewayProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]


def test_keys_from_the_environment_and_the_audit_log() -> None:
    flags = ("--log-json", "--shutdown-grace-period-secs", "0", "--tenant-api-key", "t:key-of-t")
    with GatewayProcess("launch", *flags, env=KEYS, wait_ready=False) as gateway:
        gateway.answers("/health")
        assert call(gateway, "/get_loads?key=key-of-ops", "key-of-ops") == 200
        assert call(gateway, "/get_loads", "key-of-view") == 403
        assert call(gateway, "/get_loads", "key-of-t") == 401
        assert call(gateway, "/get_loads", None) == 401
        assert call(gateway, "/engine_metrics?key=key-of-t", "key-of-t") not in (401, 403)
    audit = [line for line in lines(gateway) if line["target"] == "smg::audit"]
    assert [
        (line["principal"], line["auth_method"], line["role"], line["outcome"], line["status"])
        for line in audit
    ] == [
        ("ops", "api_key", "admin", "success", 200),
        ("view", "api_key", "user", "denied", 403),
        ("unauthenticated", "none", "user", "denied", 401),
        ("unauthenticated", "none", "user", "denied", 401),
    ]
    assert {line["message"] for line in audit} == {"control_plane_audit"}
    assert {(line["method"], line["path"]) for line in audit} == {("GET", "/get_loads")}
    requests = {line["request_id"] for line in lines(gateway) if line["target"] == "smg::response"}
    assert {line["request_id"] for line in audit} <= requests
    assert "key-of-" not in gateway.log()


def test_open_admin_routes_are_told_once() -> None:
    grace = ("--shutdown-grace-period-secs", "0")
    with GatewayProcess("launch", "--host", "0.0.0.0", *grace, wait_ready=False) as gateway:
        gateway.answers("/health")
    assert gateway.log().count("--control-plane-api-keys") == 1
    with GatewayProcess("launch", *grace, wait_ready=False) as gateway:
        gateway.answers("/health")
    assert "--control-plane-api-keys" not in gateway.log()
