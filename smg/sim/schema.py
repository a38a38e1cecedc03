"""A value that fits a JSON schema: arguments of simulated tool calls and `json_schema` answers.

Not a generator of all schemas: the simplest fitting value for the usual ones, deterministic by
seed.
"""

from __future__ import annotations

from typing import Any

from smg.sim.text import answer_tokens

MAX_DEPTH = 8


def example(schema: Any, seed: int = 0, depth: int = 0) -> Any:
    """The simplest value for `schema`; unknown or missing schemas give a short string."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return _words(seed)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][seed % len(schema["enum"])]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return example(schema[key][0], seed, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        return {
            name: example(part, seed + place, depth + 1)
            for place, (name, part) in enumerate(properties.items())
        }
    if kind == "array":
        return [example(schema.get("items"), seed, depth + 1)]
    if kind == "integer":
        return max(seed % 10, int(schema.get("minimum", 0)))
    if kind == "number":
        return max(seed % 10 + 0.5, float(schema.get("minimum", 0)))
    if kind == "boolean":
        return seed % 2 == 0
    if kind == "null":
        return None
    return _words(seed)


def _words(seed: int) -> str:
    return "".join(answer_tokens(seed % 64, 2)).rstrip(".")
