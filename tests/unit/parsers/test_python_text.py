"""What the quick reader of Python reads, the standard library's parser reads alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smg._speedups.python_text import calls, literal
from smg._speedups.value_scan import SourceScanner
from smg.parsers.coercion import dump
from smg.parsers.tool_calls import python_text, pythonic

PIECES = st.sampled_from(
    [
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "=",
        " ",
        "\n",
        "\t",
        "\r",
        "f",
        "a1",
        "_x",
        "b",
        "if",
        "nan",
    ]
    + [
        "True",
        "None",
        "false",
        "null",
        "'",
        '"',
        "''",
        '"a"',
        "'x'",
        "'k': ",
        "\\n",
        "\\'",
        "\\x41",
        "\\",
        "#",
    ]
    + [
        "0",
        "7",
        "-1",
        "007",
        "1_0",
        "1.5",
        ".5",
        "1.",
        "1e3",
        "1e999",
        "-0",
        "0x1",
        "+2",
        "ä",
        "Ω",
        "\ud800",
        "\0",
    ]
    + ["f(", "a=1", "k=", "g()", "[f(a=", ")]", "'''", "--", "1j", "9" * 19]
)
SOURCES = st.lists(PIECES, max_size=10).map("".join)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def by_library(source: str) -> Any:
    tree = python_text.expression(source)
    assert tree is not None
    return python_text.json_value(tree)


@settings(max_examples=500, deadline=None)
@given(SOURCES | VALUES.map(repr))
@example("{'a': 1, 'a': 2}")
@example("-0.0")
def test_a_literal_is_read_as_the_library_reads_it(source: str):
    found = literal(source)
    if found is not None:
        assert dump(found[0]) == dump(by_library(source.strip()))


@settings(max_examples=500, deadline=None)
@given(SOURCES.map(lambda text: f"[f(a={text})]") | SOURCES.map(lambda text: f"[f({text})]"))
def test_calls_are_read_as_the_library_reads_them(source: str):
    found = calls(source)
    if found is not None:
        ours = [(name, dump(members), written) for name, members, written in found]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("smg._speedups.python_text.calls", lambda source: None)
            assert ours == pythonic.read_calls(source)


def test_the_usual_is_read_here():
    source = "[f(a=-1.5, b=[True, None, 'x\\'y\\n', {\"k\": 7,},], c=word), g()]"
    assert calls(source) == [
        (
            "f",
            {"a": -1.5, "b": [True, None, "x'y\n", {"k": 7}], "c": "word"},
            source[1 : source.index(", g")],
        ),
        ("g", {}, "g()"),
    ]
    assert literal(" [] ") == ([],)
    for source in (
        "{'a': (1,)}",
        "b'x'",
        "'a' 'b'",
        "'''a'''",
        "1 + 1",
        "[1",
        "{1: 2}",
        "",
        "lambda",
    ):
        assert literal(source) is None, source
    deep = "[" * 100 + "]" * 100
    assert literal(deep) is None
    assert calls(f"[f(a={deep})]") is None


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_bracket_that_closes_is_found(size: int):
    text = 'f(\'a]\\\'\', "(", {"b": [1]})] rest'
    scanner = SourceScanner(1, 1000)
    reached = 0
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        read = scanner.scan(piece, 0)
        reached += read
        if scanner.done:
            break
        assert read == len(piece)
    assert text[:reached] == text.removesuffix(" rest")


def test_source_that_is_none_or_too_long():
    scanner = SourceScanner(1, 5)
    assert (scanner.scan("ab; c", 0), scanner.bad) == (2, True)
    scanner = SourceScanner(1, 5)
    assert (scanner.scan("'<;>'", 0), scanner.bad) == (5, False)
    assert (scanner.scan("]", 0), scanner.bad, scanner.done) == (0, True, False)
