"""A request body known to be good, and the first step towards it: bytes to a JSON object.

`orjson.loads` is the only pass over the bytes. What goes wrong here is reported as http-api 3.4
says, except that the answer is JSON on every route (traps 12 and 32); the statuses of the two
families of routes are kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from smg.core.errors import RequestError
from smg.wire.head import is_json

loads = orjson.loads


class CheckedBody:
    """One request body.

    `raw` goes upstream: the client's own bytes object, unless the body had to be normalised.
    `data` is what `raw` parses to; integers beyond 64 bits are floats in it, so it must never be
    written back whole (see `splice`).
    """

    def __init__(self, model: str, stream: bool, data: dict[str, Any], raw: bytes) -> None:
        self.model = model
        self.stream = stream
        self.data = data
        self.raw = raw


class Statuses(NamedTuple):
    """What a family of routes answers to an unreadable body. Broken rules are 400 everywhere."""

    media: int
    media_code: str
    types: int


VALIDATED = Statuses(400, "json_parse_error", 400)
PLAIN = Statuses(415, "unsupported_media_type", 422)


def parse(raw: bytes, content_type: bytes | None, statuses: Statuses) -> dict[str, Any]:
    """The JSON object in `raw`; RequestError for anything else."""
    if content_type != b"application/json" and not is_json(content_type):
        raise RequestError(
            "Content-Type must be application/json"
            + ("; the request has none" if content_type is None else ""),
            status=statuses.media,
            code=statuses.media_code,
        )
    try:
        data = loads(raw)
    except orjson.JSONDecodeError as error:
        # `from None`: the decode error holds the whole document.
        raise RequestError(_malformed(raw, error), code="json_parse_error") from None
    if data.__class__ is not dict:
        raise RequestError(
            f"The request body must be a JSON object, not {shown(data)}",
            status=statuses.types,
            code="json_parse_error",
        )
    return data


def shown(value: Any) -> str:
    """A JSON value for an error message: short, whatever its size or depth."""
    if isinstance(value, str):
        return orjson.dumps(value if len(value) <= 40 else value[:40] + "…").decode()
    if isinstance(value, list):
        return f"an array of {len(value)}" if value else "an empty array"
    if isinstance(value, dict):
        return "an object"
    return orjson.dumps(value).decode()


def _malformed(raw: bytes, error: orjson.JSONDecodeError) -> str:
    if not raw or raw.isspace():
        return "The request body is empty; a JSON object is expected"
    place = f"line {error.lineno}, column {error.colno}"
    return f"The request body is not valid JSON: {error.msg} ({place})"
