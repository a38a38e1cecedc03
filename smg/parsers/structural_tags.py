"""The pieces that structural tags are built from: xgrammar's words for a grammar, as JSON.

Engines pass a tag on to the library that masks tokens; what each `type` means is defined there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Function = Mapping[str, Any]  #: `name`, `parameters`


def const(text: str) -> Json:
    """Exactly this text."""
    return {"type": "const_string", "value": text}


def regex(pattern: str) -> Json:
    """Text that the whole pattern fits."""
    return {"type": "regex", "pattern": pattern}


def any_text(without: Iterable[str] = ()) -> Json:
    """Text in which none of these strings occurs."""
    excluded = list(without)
    return {"type": "any_text", "excludes": excluded} if excluded else {"type": "any_text"}


def json_schema(schema: Any) -> Json:
    """JSON that fits a schema."""
    return {"type": "json_schema", "json_schema": schema}


def sequence(*elements: Json) -> Json:
    """One after the other."""
    return {"type": "sequence", "elements": list(elements)}


def either(elements: Iterable[Json]) -> Json:
    """One of them."""
    return {"type": "or", "elements": list(elements)}


def optional(content: Json) -> Json:
    """Once or not at all."""
    return {"type": "optional", "content": content}


def repeated(content: Json, *, once: bool) -> Json:
    """Any number of times; `once`: at least one time."""
    return {"type": "plus" if once else "star", "content": content}


def tag(begin: str, content: Json, end: str) -> Json:
    """`content` between two texts."""
    return {"begin": begin, "content": content, "end": end}


def triggered(
    triggers: Sequence[str], tags: Sequence[Json], *, stop_after_first: bool | None = None
) -> Json:
    """The whole of it: at least one of the tags; where a trigger has been written one of them has
    begun. `stop_after_first`: nothing follows a tag; None leaves it to the engine.
    """
    form: Json = {"type": "triggered_tags", "triggers": list(triggers), "tags": list(tags)}
    form["at_least_one"] = True
    if stop_after_first is not None:
        form["stop_after_first"] = stop_after_first
    return {"format": form}


def parameters(function: Function) -> Any:
    """The schema of a function's arguments; `{}` if it declares none."""
    schema = function.get("parameters")
    return {} if schema is None else schema


def named(functions: Iterable[Function]) -> list[tuple[str, Any]]:
    """Names and schemas of the functions that have a name."""
    return [(each["name"], parameters(each)) for each in functions if each.get("name")]


def as_text(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
