"""From the text of a parameter to JSON."""

from __future__ import annotations

import pytest

from smg.parsers.coercion import coerce, infer_bracketed, infer_json, infer_scalar


@pytest.mark.parametrize(
    ("raw", "declared", "value"),
    [
        ("4", "string", '"4"'),
        ('"4"', "string", '"4"'),
        ('"a', "string", '"\\"a"'),
        ("[60,30]", "string", '"[60,30]"'),
        (" 12 ", "integer", "12"),
        ("1.5", "integer", "1.5"),
        ("1_0", "integer", '"1_0"'),
        ("9" * 30, "integer", "9" * 30),
        ("9" * 5000, "integer", f'"{"9" * 5000}"'),
        ("12", "number", "12"),
        ("1e2", "number", "100.0"),
        ("true", "number", "true"),
        ("True", "boolean", "true"),
        ("yes", "boolean", '"yes"'),
        ('{"a": [1, 2]}', "object", '{"a":[1,2]}'),
        ("{a}", "object", '"{a}"'),
        ("7", "array", "7"),
        ("null", None, "null"),
        ("None", None, "null"),
        ("nan", None, '"nan"'),
        ("Infinity", None, '"Infinity"'),
        ("1e999", None, '"1e999"'),
        ("+.5", None, "0.5"),
        ("٣", None, '"٣"'),
        ("ä\nb\n", None, '"ä\\nb"'),
        ("[" * 100_000, None, f'"{"[" * 100_000}"'),
    ],
)
def test_coerced(raw: str, declared: str | None, value: str):
    assert coerce(raw, declared, infer_json) == value


def test_without_schema_some_formats_take_brackets_as_text():
    assert infer_scalar("[1]") == '"[1]"'
    assert infer_bracketed(" [1]") == "[1]"
    assert infer_bracketed("[1") == '"[1"'
    assert infer_bracketed("1") == "1"
