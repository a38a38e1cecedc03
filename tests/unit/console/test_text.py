"""Values as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.console.text import age, number, percent, plain, same_url, seconds, short_id


def test_nothing_moves_the_cursor_or_turns_the_line_round():
    assert plain("a\x1b[2Jb\rc\u202ed\n") == "a\\u001b[2Jb\\rc\\u202ed\\n"
    assert plain("modèle 模型") == "modèle 模型"


@given(st.text())
def test_plain_text_is_printable(text: str):
    assert all(char.isprintable() for char in plain(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.254, "0.25"),
        (0.5, "0.5"),
        (9.99, "10"),
        (12.34, "12.3"),
        (99.96, "100"),
        (999.4, "999"),
        (999.7, "1k"),
        (1234, "1.23k"),
        (5e6, "5M"),
        (2e15, "2000T"),
    ],
)
def test_number(value: float | None, text: str):
    assert number(value) == text


def test_percent():
    assert [percent(value) for value in (None, 0, 0.008, 0.0996, 0.831, 1)] == [
        *("-", "0%", "0.8%", "10%", "83%", "100%")
    ]


def test_times():
    assert [seconds(value) for value in (None, 0, 0.00048, 0.12, 1.254, 7200)] == [
        *("-", "0us", "480us", "120ms", "1.25s", "7200s")
    ]
    assert [age(value) for value in (None, -3, 45.9, 725, 7500, 273_600)] == [
        *("-", "0s", "45s", "12m 05s", "2h 05m", "3d 04h")
    ]


def test_short_ids_are_ends():
    assert short_id("0198c0de-0000-7000-8000-00000000abcd") == "0000abcd"


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("http://h:1", "http://H:1/v1/", True),
        ("http://h:1", "HTTP://h:1/", True),
        ("http://h:1/a", "http://h:1/a/v1", True),
        ("http://h:1", "https://h:1", False),
        ("http://h:1", "http://h:1@0", False),
        ("http://h:1/a", "http://h:1/A", False),
        ("http://[::1", "http://h:1", False),
    ],
)
def test_same_url(left: str, right: str, same: bool):
    assert same_url(left, right) is same
