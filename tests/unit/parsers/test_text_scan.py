"""The compiled loops against their plain twins."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg._speedups.text_scan import (
    WAITS,
    Characters,
    Markers,
    Unread,
    begun,
    behind,
    go_on,
    quote_end,
    rest_in,
    skip_run,
    skip_white,
)
from smg._speedups.value_scan import MAX_DEPTH, JsonScanner
from smg.parsers import Steps
from tests.unit.parsers import plain

MARKERS = ("<tool_call>", "</tool_call>", "◁think▷", "[CALLS]", "◁/", "😀!")
MARKED = st.text("<>/_◁▷😀!x", max_size=6) | st.sampled_from(
    [m[:n] for m in MARKERS for n in range(1, 12)]
)
JSON_LIKE = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        ":",
        " ",
        "\n",
        "\\",
        "\\u",
        "\\u00e9",
        "\\ud83d",
        "\\ude00",
        "\\uD8",
        '\\"',
    ]
    + [
        "\\\\",
        "\\n",
        "\\x",
        "\x01",
        "\x1f",
        "\t",
        "a",
        "é",
        "😀",
        "0",
        "-1.5e3",
        "true",
        "u",
        "d",
        "1",
        "<",
        "'",
    ]
)


def standing(text: str, at: int) -> str | None:
    """The marker that stands at a place, whole."""
    found = begun(MARKERS, text, at)
    return found if found is not None and text.startswith(found, at) else None


def fed(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@settings(max_examples=400, deadline=None)
@given(st.lists(MARKED, max_size=8).map("".join), st.integers(0, 5), st.booleans())
def test_markers_are_found_where_the_twin_finds_them(text: str, start: int, closed: bool):
    start = min(start, len(text))
    twin = plain.Markers(MARKERS)
    found: tuple[int, str | None] | None = twin.search(text, start)
    if found is None:
        found = (len(text) - (0 if closed else twin.held(text, start)), None)
    ours = Markers(MARKERS)
    place = ours.find(text, start, closed)
    assert (place, standing(text, place)) == found


@pytest.mark.parametrize(
    ("text", "start", "held"),
    [
        ("Sure <tool", 0, 5),
        ("a < b", 0, 0),
        ("x <", 0, 1),
        ("x <", 3, 0),
        ("<<", 0, 1),
        ("<t<to", 0, 3),
        ("", 0, 0),
    ],
)
def test_the_longest_end_that_may_become_a_marker_is_held(text: str, start: int, held: int):
    markers = Markers(("<tool_call>", "</tool_call>"))
    assert len(text) - markers.find(text, start, False) == held
    assert markers.find(text, start, True) == len(text)


def test_markers_that_contain_each_other_are_refused():
    for texts in (("a", "ba"), ("",)):
        with pytest.raises(ValueError, match="is empty or part of another"):
            Markers(texts)


@settings(max_examples=600, deadline=None)
@given(st.lists(JSON_LIKE, max_size=20).map("".join), st.integers(1, 9), st.integers(0, 2))
def test_json_is_read_as_the_twin_reads_it(text: str, size: int, depth: int):
    """Also text that is no JSON: what is given, how far it goes, and how it ends."""
    ours, twin = JsonScanner(depth), plain.JsonScanner(depth)
    pending = ""
    for piece in [*fed(text, size), ""]:
        pending += piece
        closed = piece == ""
        out: list[str] = []
        reached = twin.scan(pending, 0, closed, out)
        assert ours.scan(pending, 0, closed) == "".join(out)
        assert (ours.reached, ours.done, ours.bad) == (reached, twin.done, twin.bad)
        if twin.done or twin.bad:
            return
        pending = pending[reached:]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1, "\t"]), st.integers(1, 9))
def test_the_scanner_keeps_every_value(value: object, ascii: bool, indent: object, size: int):
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)  # type: ignore[arg-type]
    scanner = JsonScanner()
    out = ""
    pending = ""
    for piece in fed(text, size):
        pending += piece
        out += scanner.scan(pending, 0, False)
        pending = pending[scanner.reached :]
        assert len(pending) < 12  # half a pair of surrogates at most
    out += scanner.scan(pending, 0, True)
    assert (scanner.reached, scanner.done, scanner.bad) == (len(pending), True, False)
    assert out == json.dumps(value, ensure_ascii=ascii, separators=(",", ":"))


def test_a_piece_without_change_is_given_on_itself():
    scanner = JsonScanner(1)
    for piece in ('"text":"', "ab cd"):
        assert scanner.scan(piece, 0, False) is piece


def test_long_texts_are_rewritten_whole():
    """Longer than what the scanner has room for without asking, and growing while it is read."""
    text = '{ "a" : "' + "\x01\n" * 5000 + '" }'
    out = JsonScanner().scan(text, 0, True)
    assert out == '{"a":"' + "\\u0001\\n" * 5000 + '"}'
    for length in range(55, 70):  # around that room
        text = '[ "' + "\n" * length + '"]'
        assert JsonScanner().scan(text, 0, True) == '["' + "\\n" * length + '"]'


def test_depth_is_counted_to_its_end():
    scanner = JsonScanner()
    assert scanner.scan("[" * (MAX_DEPTH + 1), 0, False) == "[" * MAX_DEPTH
    assert (scanner.reached, scanner.bad) == (MAX_DEPTH, True)


def test_runs():
    assert skip_run("  \tx", 0, " \t") == 3
    assert skip_run("  ", 1, " ") == 2
    assert skip_run("xx", 0, "") == 0
    assert skip_run("ää😀b", 0, "ä😀") == 3


@given(st.text("ab<é😀\n"), st.text("ab<é😀\n", min_size=1), st.integers(0, 3))
def test_runs_of_a_set_end_where_the_pattern_does(text: str, known: str, start: int):
    start = min(start, len(text))
    for characters, pattern in (
        (Characters(of=known), f"[{re.escape(known)}]*"),
        (Characters(but=known), f"[^{re.escape(known)}]*"),
    ):
        found = re.compile(pattern).match(text, start)
        assert found is not None
        assert characters.end(text, start) == found.end()


@given(st.text("aéж😀", max_size=5), st.integers(0, 5), st.text("aéж😀", max_size=5))
def test_what_is_left_and_more(text: str, at: int, more: str):
    """Also that it is as wide as its characters: `==` compares nothing else."""
    at = min(at, len(text))
    for end in range(at, len(text) + 1):
        joined = behind(text, at, end, more)
        assert joined == text[at:end] + more
        assert joined.isascii() == (text[at:end] + more).isascii()


@given(st.lists(MARKED, max_size=3).map("".join), st.integers(0, 5))
def test_what_has_begun_is_whole_or_reaches_to_the_end(text: str, at: int):
    at = min(at, len(text))
    rest = text[at:]
    fitting = [m for m in MARKERS if rest.startswith(m) or m.startswith(rest)]
    assert begun(MARKERS, text, at) == (fitting[0] if fitting else None)


@given(st.sampled_from(MARKERS), st.integers(0, 12), MARKED, st.booleans(), st.integers(0, 12))
def test_a_marker_goes_on_until_its_last_piece(
    marker: str, done: int, other: str, its_own: bool, size: int
):
    done = min(done, len(marker))
    more = marker[done : done + size] if its_own else other
    whole = marker[:done] + more
    at = rest_in(marker, done, more)
    if whole.startswith(marker):
        assert at == len(marker) - done
    else:
        assert at == (0 if marker.startswith(whole) else -1)


def test_a_generator_goes_on_and_gives_what_it_returns():
    def steps() -> Steps[str]:
        yield
        return "done"

    running = steps()
    assert go_on(running) is WAITS
    assert go_on(running) == "done"

    def fails() -> Steps[str]:
        yield
        raise LookupError

    failing = fails()
    assert go_on(failing) is WAITS
    with pytest.raises(LookupError):
        go_on(failing)


@given(st.lists(MARKED), st.integers(0, 5))
def test_what_is_put_away_comes_back_up_to_the_first_marker(pieces: list[str], at: int):
    markers = Markers(MARKERS)
    unread = Unread()
    for _ in range(2):  # it is emptied
        so_far = ""
        for piece in pieces:
            begin = min(at, len(piece))
            so_far += piece[begin:]
            place = unread.add(piece, begin, markers)
            ends = {so_far.index(m) + len(m): m for m in MARKERS if m in so_far}
            if ends:
                marker = ends[min(ends)]
                assert unread.marker == marker
                assert place == len(piece) - (len(so_far) - min(ends))
                so_far = so_far[: min(ends) - len(marker)]
                break
            assert place == 0
        assert unread.take() == so_far
    unread.add("x" * 5000, 0, markers)
    assert unread.take() == "x" * 5000
    assert unread.take() == ""


def test_white_space_is_what_json_takes_for_it():
    assert skip_white(" \t\r\n\xa0x", 0) == 4
    assert skip_white("x ", 0) == 0
    assert skip_white("é \n", 1) == 3


def test_where_quoted_text_ends():
    text = 'a="b" c="d&e"'
    assert quote_end(text, 0, 'a="') == text.index('"', 3)
    assert quote_end(text, 4, '" c="') == -1  # an entity
    assert quote_end(text, 1, 'a="') == quote_end("", 0, 'a="') == quote_end('a="b', 0, 'a="') == -1
    assert quote_end('é="😀"', 0, 'é="') == 4
