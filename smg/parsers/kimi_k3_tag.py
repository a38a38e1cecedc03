"""The structural tag of `kimi_k3`: its calls are tags with an element for every argument, so that
the grammar follows the properties of a schema instead of holding one JSON value.

What the parser (`tool_calls/kimi_k3.py`) reads back: strings as they are, all else as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smg.parsers.structural_tags import (
    Function,
    Json,
    any_text,
    const,
    either,
    json_schema,
    named,
    optional,
    regex,
    repeated,
    sequence,
    tag,
    triggered,
)
from smg.parsers.tool_calls.kimi_k3 import CLOSE, OPEN, SEP

_MARKERS = (OPEN, CLOSE, SEP)
_TOOLS = f"{OPEN}tools{SEP}"
_TOOLS_END = f"{CLOSE}tools{SEP}"
# A model that is forced to call may still think before, or answer.
_BEFORE = ("", f"{CLOSE}think{SEP}", f"{CLOSE}response{SEP}")
_ARGUMENT_END = const(f"{CLOSE}argument{SEP}")
_ANY_TYPE = regex("string|number|boolean|object|array|null")
_ANY_KEY = regex(r'[^"<>]+')
_AS_JSON = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "array": "array",
}


def kimi_k3_tag(functions: Sequence[Function]) -> Json:
    """One or more calls in the channel of the tools."""
    calls = [_call(name, schema) for name, schema in named(functions)]
    content = repeated(either(calls), once=True)
    tags = [tag(before + _TOOLS, content, _TOOLS_END) for before in _BEFORE]
    return triggered([_TOOLS, *_BEFORE[1:]], tags)


def _call(name: str, schema: Any) -> Json:
    return sequence(
        const(f'{OPEN}call tool="{_escaped(name)}" index="'),
        regex("[1-9][0-9]*"),
        const(f'"{SEP}'),
        _arguments(schema),
        const(f"{CLOSE}call{SEP}"),
    )


def _arguments(schema: Any) -> Json:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not (isinstance(properties, Mapping) and properties):
        return repeated(_free_argument(), once=False)
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    # A schema of a property may point to definitions beside the properties.
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    slots = []
    for key, value in properties.items():
        slot = _argument(key, value, shared)
        slots.append(slot if key in needed else optional(slot))
    return sequence(*slots)


def _argument(key: str, schema: Any, shared: Mapping[str, Any]) -> Json:
    begin = f'{OPEN}argument key="{_escaped(key)}" type="'
    kind, value = _value(schema, shared)
    if kind is None:
        return sequence(const(begin), _ANY_TYPE, const(f'"{SEP}'), value, _ARGUMENT_END)
    return sequence(const(f'{begin}{kind}"{SEP}'), value, _ARGUMENT_END)


def _value(schema: Any, shared: Mapping[str, Any]) -> tuple[str | None, Json]:
    """The type that an argument's tag says, None for any, and the grammar of its value."""
    free = any_text(_MARKERS)
    if not isinstance(schema, Mapping):
        return None, free
    kind = schema.get("type")
    choices = schema.get("enum")
    if kind in (None, "string") and isinstance(choices, list) and choices:
        texts = [text for text in choices if isinstance(text, str) and not _has_marker(text)]
        if len(texts) == len(choices):
            return "string", either(map(const, texts))
    if kind == "string":
        return "string", free
    if kind == "null":
        return "null", const("null")
    if isinstance(kind, str) and kind in _AS_JSON:
        return _AS_JSON[kind], json_schema({**schema, **shared} if shared else schema)
    return None, free


def _free_argument() -> Json:
    return sequence(
        const(f'{OPEN}argument key="'),
        _ANY_KEY,
        const('" type="'),
        _ANY_TYPE,
        const(f'"{SEP}'),
        any_text(_MARKERS),
        _ARGUMENT_END,
    )


def _has_marker(text: str) -> bool:
    return any(marker in text for marker in _MARKERS)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")
