"""`POST /v1/tokenize` and `POST /v1/detokenize` (http-api 15).

A body may hold millions of characters or ids, and parsing keeps the event loop waiting, on a
thread as well. Of a large one only the extent of its items is found here, ten times as fast;
`text_of` and `ids_of` make them on the thread that works on them, and tell what is wrong then.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from smg.core.errors import RequestError
from smg.protocols.body import PLAIN, loads, parse
from smg.protocols.rules import Faults, refuse, required, wrong_type
from smg.wire.head import is_json

HIGHEST_ID = 2**32 - 1
LARGE = 256 << 10  # bytes of a body whose items are parsed later
_SLICE = 4096  # ids that are looked at in one go
_BYTES = 64 << 10  # of an array of ids that are parsed in one go

#: parsed, or as it stands in the body
Text = str | msgspec.Raw
Ids = list[Any] | msgspec.Raw


class TextsBody(NamedTuple):
    """What to encode. `batch`: whether the answer is in lists, also for one text or none."""

    model: str
    texts: Sequence[Text]
    batch: bool


class IdsBody(NamedTuple):
    """What to decode: sequences whose items are unchecked."""

    model: str
    sequences: Sequence[Ids]
    batch: bool
    skip_special_tokens: bool


class _LargeTexts(msgspec.Struct):
    model: str
    prompt: list[msgspec.Raw]


class _LargeIds(msgspec.Struct):
    model: str
    tokens: msgspec.Raw
    skip_special_tokens: bool | None = None


_large_texts = msgspec.json.Decoder(_LargeTexts)
_large_ids = msgspec.json.Decoder(_LargeIds)
_raw_items = msgspec.json.Decoder(list[msgspec.Raw])
_ARRAY_OF_ARRAYS = re.compile(rb"\[[ \t\r\n]*\[")


def check_texts(raw: bytes, content_type: bytes | None) -> TextsBody:
    """The body of `/v1/tokenize`; RequestError."""
    if len(raw) > LARGE and is_json(content_type):
        try:
            large = _large_texts.decode(raw)
        except msgspec.DecodeError:
            pass  # one text, or a mistake that is told below
        else:
            return TextsBody(large.model, large.prompt, True)
    data = parse(raw, content_type, PLAIN)
    prompt: Any = data.get("prompt")
    faults = _model_faults(data)
    batch = prompt.__class__ is list
    if batch:
        for at, item in enumerate(prompt):
            if item.__class__ is not str:
                faults.append(("prompt", wrong_type("a string", item, f"[{at}]")))
                break
    elif prompt.__class__ is not str:
        faults.append(required("prompt", data, "a string or an array of strings"))
    if faults:
        raise refuse(faults, PLAIN)
    return TextsBody(data["model"], prompt if batch else [prompt], batch)


def check_ids_body(raw: bytes, content_type: bytes | None) -> IdsBody:
    """The body of `/v1/detokenize` but for the ids themselves; RequestError."""
    if len(raw) > LARGE and is_json(content_type):
        try:
            large = _large_ids.decode(raw)
            batch = _ARRAY_OF_ARRAYS.match(large.tokens) is not None
            items = _raw_items.decode(large.tokens) if batch else [large.tokens]
        except msgspec.DecodeError:
            pass
        else:
            return IdsBody(large.model, items, batch, large.skip_special_tokens is not False)
    data = parse(raw, content_type, PLAIN)
    tokens: Any = data.get("tokens")
    faults = _model_faults(data)
    batch = tokens.__class__ is list and bool(tokens) and tokens[0].__class__ is list
    if tokens.__class__ is not list:
        faults.append(required("tokens", data, "an array of ids, or of arrays of ids"))
    elif batch:
        for at, item in enumerate(tokens):
            if item.__class__ is not list:
                faults.append(("tokens", wrong_type("an array of ids", item, f"[{at}]")))
                break
    skip = data.get("skip_special_tokens")
    if skip is not None and skip.__class__ is not bool:
        faults.append(("skip_special_tokens", wrong_type("true or false", skip)))
    if faults:
        raise refuse(faults, PLAIN)
    return IdsBody(data["model"], tokens if batch else [tokens], batch, skip is not False)


def size_of(item: Text | Ids) -> int:
    """Characters or ids, about: of what is not parsed yet, the bytes."""
    return memoryview(item).nbytes if isinstance(item, msgspec.Raw) else len(item)


def text_of(item: Text, place: str = "") -> str:
    """The text; RequestError if it is none. `place`: where it stands, as "[3]"."""
    if isinstance(item, str):
        return item
    text = _parsed(bytes(item))
    if text.__class__ is not str:
        raise refuse([("prompt", wrong_type("a string", text, place))], PLAIN)
    return str(text)


def ids_of(item: Ids, place: str = "") -> list[int]:
    """The ids, whole numbers from 0 to 2^32 - 1; RequestError if one is not."""
    if isinstance(item, list):
        _check_ids(item, place, 0)
        return item
    raw = bytes(item).strip()
    if not raw.startswith(b"["):
        raise refuse([("tokens", wrong_type("an array of ids", _parsed(raw), place))], PLAIN)
    ids: list[int] = []
    for part in _cut(raw):
        numbers = _parsed(part)
        _check_ids(numbers, place, len(ids))
        ids += numbers
    return ids


def _cut(raw: bytes) -> Iterator[bytes]:
    """An array of numbers as several: commas stand between numbers only. Where they do not the
    parts are no JSON, or hold what is no number.
    """
    start = 1
    while True:
        comma = raw.find(b",", start + _BYTES)
        if comma < 0:
            yield b"[" + raw[start:]
            return
        yield b"[%b]" % raw[start:comma]
        start = comma + 1


def _parsed(raw: bytes) -> Any:
    try:
        return loads(raw)
    except ValueError:
        raise RequestError(
            "The request body is not valid JSON, or its ids are no whole numbers",
            code="json_parse_error",
        ) from None


def _check_ids(ids: Sequence[Any], place: str, before: int) -> None:
    for start in range(0, len(ids), _SLICE):
        part = ids[start : start + _SLICE]
        try:
            array("I", part)
        except (TypeError, OverflowError):
            pass
        else:
            if bool not in set(map(type, part)):
                continue
        for index, item in enumerate(part, before + start):
            if item.__class__ is not int or not 0 <= item <= HIGHEST_ID:
                fault = wrong_type(f"an id from 0 to {HIGHEST_ID}", item, f"{place}[{index}]")
                raise refuse([("tokens", fault)], PLAIN)


def _model_faults(data: dict[str, Any]) -> Faults:
    if data.get("model").__class__ is str:
        return []
    return [required("model", data, "a string")]
