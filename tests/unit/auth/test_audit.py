"""What an audit line says, and what a client can make it say (external-security-wasm 9.6)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from smg.auth import audit
from smg.auth.audit import LIMIT, TRUNCATED, Request, clean
from smg.auth.control import Principal
from smg.observability.log_format import JsonFormat, Redactor, TextFormat, from_record

REQUEST = Request(b"DELETE", b"/workers/w-1", "w-1", b"req-1")
OPS = Principal("ops", "Operations Team", "api_key:ops", "admin")


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "smg.audit")
    return caplog


def fields(heard: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = heard.records
    assert (record.name, record.levelno) == ("smg.audit", logging.INFO)
    assert record.getMessage() == "control_plane_audit"
    return dict(from_record(record).fields)


def test_let_in(heard: pytest.LogCaptureFixture) -> None:
    audit.granted(REQUEST, OPS, 204)
    assert fields(heard) == {
        "principal": "ops",
        "auth_method": "api_key",
        "role": "admin",
        "method": "DELETE",
        "path": "/workers/w-1",
        "resource": "w-1",
        "outcome": "success",
        "status": 204,
        "request_id": "req-1",
        "details": None,
    }


def test_refused_without_a_valid_key(heard: pytest.LogCaptureFixture) -> None:
    audit.denied(Request(b"GET", b"/get_loads", None, b"r"), None, 401, "why")
    assert fields(heard) == {
        "principal": "unauthenticated",
        "auth_method": "none",
        "role": "user",
        "method": "GET",
        "path": "/get_loads",
        "resource": None,
        "outcome": "denied",
        "status": 401,
        "request_id": "r",
        "details": "why",
    }


def test_refused_with_a_valid_key(heard: pytest.LogCaptureFixture) -> None:
    audit.denied(REQUEST, Principal("v", "V", "api_key:v", "user"), 403, "why")
    found = fields(heard)
    assert (found["principal"], found["role"], found["status"]) == ("v", "user", 403)


def test_both_log_formats(heard: pytest.LogCaptureFixture) -> None:
    audit.denied(Request(b"GET", b"/workers", None, b"r"), None, 401, "a reason")
    line = from_record(heard.records[0])
    assert line.target == "smg::audit"
    text = TextFormat(Redactor())(line)
    assert "smg::audit" in text
    assert "control_plane_audit principal=unauthenticated auth_method=none role=user" in text
    assert 'outcome=denied status=401 request_id=r details="a reason"' in text
    assert "resource" not in text
    made = JsonFormat(Redactor())(line)
    assert '"target":"smg::audit"' in made
    assert '"outcome":"denied","status":401' in made


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain ü text", "plain ü text"),
        ("a\nb\rc\td\\e", "a\\nb\\rc\\td\\\\e"),
        ("\x00\x1b[31m\x7f\x85", "\\x00\\x1b[31m\\x7f\\x85"),
        ("x" * LIMIT, "x" * LIMIT),
        ("x" * (LIMIT + 1), "x" * LIMIT + TRUNCATED),
        # cut first, then escaped: an escape is never halved
        ("\n" * 2000, "\\n" * LIMIT + TRUNCATED),
        ("", ""),
    ],
)
def test_strings_of_clients(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_every_string_is_bounded_and_escaped(heard: pytest.LogCaptureFixture) -> None:
    bad = "a\r\n" * 2000
    raw = bad.encode()
    audit.granted(Request(raw, raw, bad, raw), Principal(bad, bad, "api_key:x", "admin"), 200, bad)
    found = fields(heard)
    for name in ("principal", "method", "path", "resource", "request_id", "details"):
        assert found[name].endswith(TRUNCATED), name
        assert found[name].isprintable(), name
        assert len(found[name]) < 2 * LIMIT + len(TRUNCATED), name
