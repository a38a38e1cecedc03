"""The compiled reading of parameters against the full rules."""

from __future__ import annotations

import json
from json.encoder import encode_basestring

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smg._speedups.text_values import (
    compact,
    escaped,
    has_long_number,
    member_text,
    plain_value,
    quoted,
    stripped,
)
from smg.parsers.coercion import coerce, dump, infer_json, infer_scalar, json_text

NUMBER_LIKE = st.text("0123456789.+-eE_ ", max_size=24)
WORD_LIKE = st.sampled_from(
    ["true", "True", "false", "None", "null", "nan", "inf", "Infinity", "nulls", "tru"]
)
SPACE = st.text(" \t\n\r\x0b\x1c\x85\xa0\u2003", max_size=2)
TEXT = st.text('aA"\\\n\x00\x1fä😀\ud800{}[]:,1 ', max_size=12)
VALUES = st.tuples(SPACE, NUMBER_LIKE | WORD_LIKE | TEXT | st.text(max_size=8), SPACE).map("".join)


@settings(max_examples=2000, deadline=None)
@given(VALUES)
@example("2026-12-01")
@example("0.00001")
@example("-0")
@example("1e5")
@example("+7")
@example("1.50")
@example("123456789012345.5")
@example("\xa07")
def test_what_is_plain_is_what_the_rules_say(raw: str):
    plain = plain_value(raw, True)
    assert plain is None or plain == infer_json(raw)
    assert plain is None or plain == infer_scalar(raw)
    plain = plain_value(raw, False)
    assert plain is None or plain == (json_text(raw) or encode_basestring(raw))


@settings(max_examples=500, deadline=None)
@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
    )
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_numbers_are_written_as_python_writes_them(number: object):
    plain = plain_value(str(number), True)
    assert plain is None or plain == json.dumps(json.loads(plain))


def test_usual_values_need_no_closer_look():
    """Else the fast way is no way."""
    for raw in ("7", "-12", "1850.5", "0.5", "-0.25", "true", "None", "2026-12-01", "a b", ""):
        assert plain_value(raw, True) is not None, raw
    for raw in ("{}", "[1]", '"4"', "+7", "1e5", "007", "1" * 19, " x"):
        assert plain_value(raw, True) is None, raw


@given(TEXT | st.text())
def test_strings_are_quoted_as_the_standard_library_does(raw: str):
    assert quoted(raw) == encode_basestring(raw)
    assert escaped(raw) == encode_basestring(raw)[1:-1]


def test_a_piece_that_needs_no_escape_is_given_on_itself():
    piece = "plain ä"
    assert escaped(piece) is piece


@pytest.mark.parametrize(
    ("text", "long"),
    [("1" * 18, False), ("1" * 19, True), ("1" * 10 + "." + "1" * 10, False), ("x", False)],
)
def test_long_numbers(text: str, long: bool):
    assert has_long_number(text) is long


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict | list | str)), st.booleans())
def test_json_keeps_its_value(value: object, ascii: bool):
    """However large its integers are, and whether or not orjson can read it."""
    text = json.dumps(value, ensure_ascii=ascii)
    found = json_text(text)
    assert found is not None
    assert json.loads(found) == value


@pytest.mark.parametrize("text", ["[1,]", "{'a': 1}", "[NaN]", '["\n"]', "[1] x", "[", "[1e999]"])
def test_what_is_no_json_is_none(text: str):
    assert json_text(text) is None
    assert coerce(text, None, infer_json) == encode_basestring(text)


#: what JSON is made of, and what is nearly JSON
TOKENS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"a"',
        '"b":',
        '"a":',
        '"ä😀"',
        '"\\n"',
        '"\ud800"',
        '"\x01"',
        '"',
    ]
    + ["1", "-0", "0.5", "1.50", "01", "1e5", "9" * 18, "9" * 19, "-", ".5", "1.", "0.00001"]
    + ["true", "null", "false", "True", "nul", "NaN", " ", "\n", "\t\r", "\xa0", "\x0b", "\x00"]
)


def read_and_written(text: str) -> str | None:
    """What JSON is when it has been read and written again; by the standard library."""
    try:
        return dump(json.loads(text))
    except ValueError:
        return None


@settings(max_examples=3000, deadline=None)
@given(st.lists(TOKENS, max_size=12).map("".join))
@example('{"a":1,"b":2,"a":3}')
@example("[1,]")
@example('{"a":1,}')
@example("[1 2]")
@example('["a" , {"b" : [ ]}]')
def test_compact_text_is_what_reading_and_writing_makes_of_it(text: str):
    text = text.strip(" \t\r\n")
    found = compact(text)
    assert found is None or found == read_and_written(text)


@settings(max_examples=500, deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_compact_values_are_the_same_values(value: object, ascii: bool, indent: object):
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)  # type: ignore[arg-type]
    found = compact(text)
    assert found is None or found == dump(value)


def test_usual_json_needs_no_closer_look():
    """Else the fast way is no way."""
    usual = {"a": [1, -2.5, True, None, "x y"], "ä": {"b": [], "c": {}, "d": [[0]]}}
    for indent in (None, 1):
        text = json.dumps(usual, ensure_ascii=False, indent=indent)
        assert compact(text) == dump(usual)
    assert compact("[]") == "[]"
    members = {str(n): n for n in range(32)}
    assert compact(json.dumps(members)) == dump(members)
    for unusual in (
        json.dumps({**members, "more": 1}),
        "[" * 33 + "]" * 33,
        '["\\u00e9"]',
        "[1e5]",
    ):
        assert compact(unusual) is None


@given(st.text(), st.sampled_from(["{", ",", "é"]), st.text())
def test_a_member_is_its_key_as_a_json_string_and_its_value(key: str, before: str, value: str):
    assert member_text(before, key, value) == f"{before}{encode_basestring(key)}:{value}"


@given(VALUES)
def test_what_is_stripped_is_what_python_strips(raw: str):
    assert stripped(raw) == raw.strip()
