"""Bodies of the tokenizer routes: large ones are parsed later, and mean the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.core.errors import RequestError
from smg.protocols import tokenize
from smg.protocols.tokenize import check_ids_body, check_texts, ids_of, text_of

JSON = b"application/json"


def seen(function: Any, raw: bytes, limit: int) -> Any:
    """What a body means with this limit of large ones, or the status it is refused with."""
    before = tokenize.LARGE
    tokenize.LARGE = limit
    try:
        return function(raw)
    except RequestError as error:
        return error.status
    finally:
        tokenize.LARGE = before


def texts(raw: bytes) -> Any:
    body = check_texts(raw, JSON)
    return body.model, [text_of(item) for item in body.texts], body.batch


def ids(raw: bytes) -> Any:
    body = check_ids_body(raw, JSON)
    sequences = [ids_of(item) for item in body.sequences]
    return body.model, sequences, body.batch, body.skip_special_tokens


scalars = (
    st.none() | st.booleans() | st.integers(-2, 2**33) | st.floats(-2, 2) | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
numbers = st.lists(st.integers(0, 2**32 - 1), max_size=9)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.text(max_size=9), max_size=5) | values, st.booleans())
def test_texts_of_large_bodies(prompt, indented):
    raw = json.dumps({"model": "m", "prompt": prompt}, indent=2 * indented or None).encode()
    assert seen(texts, raw, 0) == seen(texts, raw, 1 << 30)


@settings(max_examples=100, deadline=None)
@given(numbers | st.lists(numbers, max_size=4) | values, scalars, st.integers(0, 8), st.booleans())
def test_ids_of_large_bodies(tokens, skip, cut, indented):
    body = {"model": "m", "tokens": tokens, "skip_special_tokens": skip}
    raw = json.dumps(body, indent=2 * indented or None).encode()
    before = tokenize._BYTES
    tokenize._BYTES = cut
    try:
        large = seen(ids, raw, 0)
    finally:
        tokenize._BYTES = before
    plain = seen(ids, raw, 1 << 30)
    if plain in (400, 422):
        assert large in (400, 422)  # a piece that is no JSON cannot say which item is wrong
    else:
        assert large == plain


def test_items_are_not_parsed_on_the_way_in(monkeypatch):
    monkeypatch.setattr(tokenize, "LARGE", 0)
    body = check_texts(b'{"model": "m", "prompt": ["a", "b"]}', JSON)
    assert all(isinstance(item, msgspec.Raw) for item in body.texts)
    flat = check_ids_body(b'{"model": "m", "tokens": [1, 2]}', JSON)
    assert isinstance(flat.sequences[0], msgspec.Raw)
    assert not flat.batch


@pytest.mark.parametrize(
    ("item", "place", "param"),
    [
        (b"[1, -1]", "", "tokens[1]"),
        (b"[1, 2, true]", "[4]", "tokens[4][2]"),
        (b'"x"', "[4]", "tokens[4]"),
        (b"[1.5]", "", "tokens[0]"),
        (b"[4294967296]", "", "tokens[0]"),
        (b"[]", "", None),
    ],
)
def test_ids(monkeypatch, item, place, param):
    monkeypatch.setattr(tokenize, "_BYTES", 1)
    if param is None:
        assert ids_of(msgspec.Raw(item), place) == []
        return
    with pytest.raises(RequestError) as error:
        ids_of(msgspec.Raw(item), place)
    assert (error.value.status, error.value.param) == (422, param)


def test_a_text_that_is_none():
    with pytest.raises(RequestError) as error:
        text_of(msgspec.Raw(b"5"), "[7]")
    assert (error.value.status, error.value.param) == (422, "prompt[7]")
