"""From the text of an XML-style parameter to a JSON value, with the schema's help.

Results are JSON text. What cannot be read as the declared type is guessed (`infer_*`), what cannot
be guessed is a string.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

import orjson

from smg._speedups.text_values import (
    compact,
    escaped,
    has_long_number,
    json_stripped,
    plain_value,
    quoted,
    stripped,
)

__all__ = [
    "coerce",
    "dump",
    "escaped",
    "infer_bracketed",
    "infer_json",
    "infer_scalar",
    "json_or_text",
    "json_text",
    "quoted",
]

Infer = Callable[[str], str]

_OPENERS = ("{", "[", '"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")

_WORDS = {"true": "true", "True": "true", "false": "false", "False": "false"}
_LITERALS = {"true": "true", "false": "false", "null": "null"}
_NULLS = {"null": "null", "None": "null"}


def json_text(raw: str) -> str | None:
    """`raw` as compact JSON; None if it is no JSON, not finite, or nested too deep."""
    trimmed = json_stripped(raw)
    usual = compact(trimmed)
    if usual is not None:
        return usual
    if trimmed[:1] not in _OPENERS:
        return _LITERALS.get(trimmed) or _json_number(trimmed)  # an error costs ten times as much
    if not has_long_number(trimmed):  # orjson makes floats of those
        try:
            return orjson.dumps(orjson.loads(trimmed)).decode()
        except (ValueError, TypeError):
            pass  # no JSON, or lone surrogates, or very deep: the slow way says which
    try:
        value, end = _decode(trimmed)
        return dump(value) if end == len(trimmed) else None
    except (ValueError, RecursionError):
        return None


def dump(value: Any) -> str:
    """Compact JSON, characters beyond ASCII as they are. RecursionError if nested too deep."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, lone surrogates, more than 254 levels
        return _encode(value)


def json_or_text(raw: str) -> str:
    """JSON, else a string."""
    return plain_value(raw, False) or json_text(raw) or quoted(raw)


def coerce(raw: str, declared: str | None, infer: Infer) -> str:
    """`raw` as the schema declares it, else as `infer` guesses what looks like more than a word, a
    usual number or plain text.
    """
    value: str | None = None
    if declared == "string":
        trimmed = stripped(raw)
        if trimmed.startswith('"'):
            value = json_text(trimmed)
            if value is not None and value.startswith('"'):
                return value
        return quoted(raw)
    value = plain_value(raw, True)
    if value is not None:  # of the declared type, or guessed: there is one reading
        return value
    trimmed = stripped(raw)
    if declared == "integer":
        value = _integer(trimmed)
    elif declared == "number":
        value = json_text(trimmed)
        if value is not None and value[0] not in "-0123456789":
            value = None
    elif declared == "boolean":
        value = _WORDS.get(trimmed)
    elif declared in ("object", "array"):
        value = json_text(trimmed)
        if value is not None and value[0] not in "{[":
            value = None
    return infer(raw) if value is None else value


def infer_json(raw: str) -> str:
    """JSON, or a word or number as Python writes it."""
    value = plain_value(raw, True)
    if value is not None:
        return value
    trimmed = stripped(raw)
    return json_text(trimmed) or infer_scalar(trimmed)


def infer_scalar(raw: str) -> str:
    """A word or number as JSON or Python write it."""
    trimmed = stripped(raw)
    return _WORDS.get(trimmed) or _NULLS.get(trimmed) or _number(trimmed) or quoted(raw)


def infer_bracketed(raw: str) -> str:
    """JSON if it begins like an object or array, else a word or number."""
    if raw.lstrip()[:1] in ("{", "["):
        return json_text(raw) or quoted(raw)
    return infer_scalar(raw)


def _json_number(trimmed: str) -> str | None:
    """A number as JSON writes it."""
    found = _NUMBER.fullmatch(trimmed)
    if found is None:
        return None
    try:
        if found.lastindex is None:
            return str(int(trimmed))
        return repr(_finite(trimmed))
    except ValueError:  # not finite, or thousands of digits
        return None


def _integer(trimmed: str) -> str | None:
    try:
        value = int(trimmed) if _numeric(trimmed) else None
    except ValueError:
        return None
    return None if value is None or not -(2**63) <= value < 2**63 else str(value)


def _number(trimmed: str) -> str | None:
    if not _numeric(trimmed):
        return None
    try:
        return str(int(trimmed))
    except ValueError:
        pass
    try:
        return repr(_finite(trimmed))
    except ValueError:
        return None


def _numeric(trimmed: str) -> bool:
    """Keeps out what Python's `int` and `float` read and a model does not mean: 1_0, inf, nan."""
    return trimmed.isascii() and trimmed[:1] in "+-.0123456789" and "_" not in trimmed


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


# Made once: `json.loads` and `json.dumps` make new ones for every call that is not plain.
_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).raw_decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
