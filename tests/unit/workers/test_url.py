"""Canonical worker addresses: one worker, one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.workers.url import parse_worker_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000//", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("http://Engine.Local:8000", "http://engine.local:8000"),
        ("http://engine:80", "http://engine"),
        ("https://api.example.com/v1", "https://api.example.com"),
        ("https://api.example.com:443/openai/v1/", "https://api.example.com/openai"),
        ("http://engine:8000/Team/A", "http://engine:8000/Team/A"),
        ("http://engine:8000/xv1", "http://engine:8000/xv1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
        ("https://[FE80::1]", "https://[fe80::1]"),
        ("grpc://engine:30001", "grpc://engine:30001"),
        ("ipc:///run/engine.sock", "ipc:///run/engine.sock"),
    ],
)
def test_canonical_form(text: str, url: str) -> None:
    assert parse_worker_url(text).url == url


def test_parts() -> None:
    address = parse_worker_url("https://[::1]/team/v1")
    assert (address.host, address.port, address.tls) == ("::1", 443, True)
    assert (address.base_path, address.connection_mode) == ("/team", "http")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8000",
        "HTTP://h:1",
        "ftp://h",
        "http://",
        "http:///path",
        "http://:8000",
        "http://h:0",
        "http://h:65536",
        "http://h:port",
        "http://h:",
        "http://h:+1",
        "http://h:8000?x=1",
        "http://h:8000/#a",
        "http://h h:8000",
        "http://h:8000\r\nx: y",
        "http://[::1",
        "http://[::1]8000",
        "http://[zz]:1",
        "http://h:1@0",
        "http://-h",
        "http://münchen:1",
        "ipc://",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="worker URL"):
        parse_worker_url(text)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="user data") as caught:
        parse_worker_url("http://user:hunter2@host:1")
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40).map(lambda rest: "http://" + rest))
def test_any_text_parses_or_is_refused_and_canonical_is_stable(text: str) -> None:
    try:
        address = parse_worker_url(text)
    except ValueError:
        return
    assert parse_worker_url(address.url) == address
    assert not address.base_path.endswith(("/", "/v1"))
