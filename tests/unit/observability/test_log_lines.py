from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.observability import log_filter
from smg.observability.log_format import (
    JsonFormat,
    Line,
    Redactor,
    TextFormat,
    from_record,
    timestamp,
    without_secrets,
)


def line(message: str = "hello", level: int = logging.INFO, exception: str = "", **fields: object):
    return Line(1769860800.1239, level, "smg::x", "x.py", 7, message, fields, exception)


def text(made: Line, *secrets: str) -> str:
    redact = Redactor()
    for secret in secrets:
        redact.add(secret)
    return TextFormat(redact)(made)


def as_json(made: Line, *secrets: str) -> str:
    redact = Redactor()
    for secret in secrets:
        redact.add(secret)
    return JsonFormat(redact)(made)


def test_time():
    assert timestamp(1769860800.1239) == "2026-01-31T12:00:00.123Z"
    assert timestamp(1769860800.0) == "2026-01-31T12:00:00.000Z"


def test_text_line():
    made = line(status=503, uri=b"/v1?a=b", who='a "b"', ok=True, none=None, empty="", share=0.5)
    assert text(made) == (
        "2026-01-31T12:00:00.123Z  INFO smg::x: x.py:7: hello"
        ' status=503 uri="/v1?a=b" who="a \\"b\\"" ok=true empty="" share=0.5'
    )


def test_json_line():
    made = line(level=logging.WARNING, request_id=b"req-1", n=3, none=None, deep={"a": (1, b"x")})
    assert json.loads(as_json(made)) == {
        "timestamp": "2026-01-31T12:00:00.123Z",
        "level": "WARN",
        "message": "hello",
        "target": "smg::x",
        "filename": "x.py",
        "line_number": 7,
        "request_id": "req-1",
        "n": 3,
        "deep": {"a": [1, "x"]},
    }


def test_fields_do_not_replace_the_frame():
    got = json.loads(as_json(line(message_="kept", level_="y", target="forged", timestamp="never")))
    assert (got["target"], got["timestamp"][:4]) == ("smg::x", "2026")
    assert (got["target_"], got["timestamp_"]) == ("forged", "never")


@pytest.mark.parametrize(
    ("level", "name"),
    [(5, "TRACE"), (10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERROR"), (50, "ERROR")],
)
def test_level_names(level: int, name: str):
    assert json.loads(as_json(line(level=level)))["level"] == name
    assert f" {name} " in text(line(level=level))


@given(st.text(), st.text(), st.binary())
def test_nothing_unprintable_gets_out(message: str, value: str, raw: bytes):
    made = line(message, value=value, raw=raw)
    assert text(made).isprintable()
    got = as_json(made)
    assert got.isascii() or got.isprintable()
    assert "\x7f" not in got
    assert json.loads(got)["value"] == value


@pytest.mark.parametrize("value", [1 << 70, "\ud800", float("nan"), {"\ud800": {1}}])
def test_awkward_values_are_json(value: object):
    assert "\n" not in as_json(line(value=value))
    assert "value" in json.loads(as_json(line(value=value)))


def test_escapes():
    assert text(line("a\nb\r\t\x1b[31m\x9b\u2028")).endswith("a\\nb\\r\\t\\x1b[31m\\x9b\\u{2028}")
    assert text(line(v="a\nb")).endswith('v="a\\nb"')


def test_a_traceback_is_indented_and_cannot_forge_lines():
    made = line(exception='Traceback:\n  File "x"\nValueError: a\r2026 INFO forged\x1b[0m')
    lines = text(made).split("\n")
    assert len(lines) == 5
    assert all(part.startswith("    ") for part in lines[1:])
    assert "\x1b" not in text(made)
    assert "forged" in json.loads(as_json(made))["exception"]


@pytest.mark.parametrize("make", [text, as_json])
def test_secrets_are_blotted_out(make):
    made = line(
        "key sk-1234567 given",
        exception="ValueError: sk-1234567",
        header=b"Bearer sk-1234567",
        deep={"k": ["sk-1234567"]},
        other=ValueError("sk-1234567"),
    )
    got = make(made, "sk-1234", "sk-1234567", "key")
    assert "sk-1234" not in got
    assert "567" not in got
    assert got.count("[redacted]") == 5
    assert "key " in got  # three characters are no secret


def test_a_secret_that_looks_like_a_number_leaves_json_whole():
    got = json.loads(as_json(line(latency=1234, note="1234"), "1234", "true", "timestamp"))
    assert (got["latency"], got["note"]) == (1234, "[redacted]")


def record(msg: str, *args: object, exc_info: object = None, name: str = "smg.a.b"):
    return logging.LogRecord(name, 20, "/somewhere/file.py", 3, msg, args, exc_info)  # type: ignore[arg-type]


def test_records():
    made = from_record(record("a %s", "b"))
    assert (made.message, made.target, made.filename, made.lineno) == (
        "a b",
        "smg::a::b",
        "file.py",
        3,
    )
    assert from_record(record("x", name="asyncio.x")).target == "asyncio.x"
    assert "not enough arguments" in from_record(record("a %s %s", "b")).message
    try:
        raise ValueError("broken")
    except ValueError:
        made = from_record(record("x", exc_info=sys.exc_info()))
    assert made.exception.startswith("Traceback")
    assert made.exception.endswith("ValueError: broken")
    stacked = record("x")
    stacked.stack_info = "Stack (most recent call last)"
    assert from_record(stacked).exception == "Stack (most recent call last)"


@pytest.mark.parametrize(
    ("given_text", "levels"),
    [
        ("debug", {"": 10}),
        ("WARN", {"": 30}),
        ("smg=debug", {"smg": 10, "": 40}),
        ("warn,smg::request=info, smg.fleet=trace", {"": 30, "smg.request": 20, "smg.fleet": 5}),
        ("smg", {"smg": 5, "": 40}),
        ("off,smg=error", {"": log_filter.OFF, "smg": 40}),
    ],
)
def test_filters(given_text: str, levels: dict[str, int]):
    assert log_filter.parse(given_text) == levels


@pytest.mark.parametrize("bad", ["smg=loud", "smg=debug=x", "a b=info", "smg[x]=info", ","])
def test_invalid_filters(bad: str):
    with pytest.raises(ValueError, match=r"level|target|directive"):
        log_filter.parse(bad)


def test_the_first_valid_variable_wins():
    both = {"SMG_LOG": "smg=debug", "RUST_LOG": "info"}
    assert log_filter.from_environment(both) == ({"smg": 10, "": 40}, [])
    levels, problems = log_filter.from_environment({"SMG_LOG": "smg=loud", "RUST_LOG": "info"})
    assert levels == {"": 20}
    assert problems == ["SMG_LOG is ignored: unknown level 'loud'"]
    assert log_filter.from_environment({"SMG_LOG": " "}) == (None, [])


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/v1/models", b"/v1/models"),
        (b"/a?", b"/a?"),
        (b"/a?key=x1", b"/a?key=[redacted]"),
        (b"/a?b=1&api_key=x1&c=2", b"/a?b=1&api_key=[redacted]&c=2"),
        (b"/a?Access-Token=x1", b"/a?Access-Token=[redacted]"),
        (b"/a?auth=x1&X-Amz-Signature=x1", b"/a?auth=[redacted]&X-Amz-Signature=[redacted]"),
        (b"/a?client_secret=&password=x=1", b"/a?client_secret=[redacted]&password=[redacted]"),
        (b"/a?limit=5&author=me&tokens=7&monkeys=2", b"/a?limit=5&author=me&tokens=7&monkeys=2"),
        (b"/key=x1", b"/key=x1"),  # a path
    ],
)
def test_credentials_in_a_query_are_blotted_out(target: bytes, shown: bytes):
    assert without_secrets(target) == shown
