"""Command lines, and the API bodies they become."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from smg.console.errors import Misuse
from smg.console.options import DEFAULT_URL, connect, secret
from smg.console.workers_options import DRAIN_WAIT, WAIT, parse, patch_of, spec_of


def add(*words: str, **environment: str) -> dict[str, Any]:
    return spec_of(parse(["add", "http://w:1", *words]), environment)


def change(*words: str, **environment: str) -> dict[str, Any]:
    return patch_of(parse(["set", "http://w:1", *words]), environment)


def test_options_before_and_after_the_command():
    for words in (
        ["--url", "http://g:1", "--json", "list"],
        ["list", "--url", "http://g:1", "--json"],
    ):
        arguments = parse(words)
        assert (arguments.url, arguments.json, arguments.timeout) == ("http://g:1", True, 10.0)


def test_the_gateway_from_the_environment():
    arguments = parse(["list"])
    assert connect(arguments, {}).url == DEFAULT_URL
    assert connect(arguments, {"SMG_URL": "https://g/base/"}).url == "https://g/base"
    assert connect(parse(["list", "--url", "http://h:1"]), {"SMG_URL": "http://g"}).host == "h"


@pytest.mark.parametrize(
    "url",
    [
        *("g:30000", "ftp://g", "http://", "http://g:port", "http://user:secret@g", "http://g?a=b"),
        *("http://g\n", "http://g /", "http://ü", "http://[::1"),
    ],
)
def test_urls_that_are_none(url: str):
    with pytest.raises(Misuse) as raised:
        connect(parse(["list", "--url", url]), {})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("key", ["a b", "a\nb", "kéy"])
def test_a_key_that_is_none_is_not_repeated(key: str):
    with pytest.raises(Misuse) as raised:
        secret(key, "the admin key")
    assert key not in str(raised.value)
    assert secret(" key\n", "") == "key"
    assert secret("", "") is None


def test_add():
    assert add() == {"url": "http://w:1"}
    everything = add(
        *("--model-id", "m", "--worker-type", "prefill", "--priority", "7", "--cost", "0.5"),
        *("--label", "zone=a", "--label", "note=x=y", "--label", "empty="),
        *("--api-key-env", "KEY", "--health-interval", "5", "--no-health-check"),
        *("--drain-settle", "0"),
        KEY="worker-key",
    )
    assert everything == {
        "url": "http://w:1",
        "model_id": "m",
        "worker_type": "prefill",
        "priority": 7,
        "cost": 0.5,
        "labels": {"zone": "a", "note": "x=y", "empty": ""},
        "api_key": "worker-key",
        "health": {
            "check_interval_secs": 5.0,
            "disable_health_check": True,
            "drain_settle_secs": 0.0,
        },
    }


def test_several_models():
    assert add("--model-id", "a", "--model-id", "b")["models"] == [{"id": "a"}, {"id": "b"}]


def test_set():
    assert change("--priority", "0") == {"priority": 0}
    assert change("--health-check") == {"health": {"disable_health_check": False}}
    with pytest.raises(Misuse, match="nothing to set"):
        change()


def test_a_worker_key_that_is_not_there():
    for environment in ({}, {"KEY": " "}):
        with pytest.raises(Misuse, match="KEY is not set"):
            add("--api-key-env", "KEY", **environment)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["get"],
        ["add", "http://w:1", "--label", "zone"],
        ["add", "http://w:1", "--label", "=a"],
        ["add", "http://w:1", "--cost", "0"],
        ["add", "http://w:1", "--cost", "nan"],
        ["add", "http://w:1", "--priority", "-1"],
        ["add", "http://w:1", "--priority", "1.5"],
        ["add", "http://w:1", "--wait=soon"],
        ["add", "http://w:1", "--worker-type", "other"],
        ["list", "--timeout", "0"],
        ["watch", "--interval", "inf"],
    ],
)
def test_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as raised:
        parse(words)
    assert raised.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (["add", "http://w:1"], None),
        (["add", "http://w:1", "--wait"], WAIT),
        (["add", "--wait", "http://w:1"], WAIT),
        (["add", "--wait", "9", "http://w:1"], 9.0),
        (["add", "http://w:1", "--wait", "--label", "a=b"], WAIT),
        (["remove", "--wait", "0198c0de"], DRAIN_WAIT),
        (["drain", "0198c0de"], DRAIN_WAIT),
        (["drain", "0198c0de", "--wait", "5"], 5.0),
    ],
)
def test_wait(words: list[str], seconds: float | None):
    assert parse(words).wait == seconds


def test_help_says_nothing_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SMG_ADMIN_KEY", "hush")
    for words in (["--help"], ["list", "--help"], ["add", "--help"]):
        with pytest.raises(SystemExit):
            parse(words)
    assert "hush" not in capsys.readouterr().out
    assert isinstance(parse(["list"]), argparse.Namespace)
