"""The tools that a request declares, prepared once per request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Tools:
    """Names and property types. `any_name`: names that are not declared count as calls too."""

    __slots__ = ("_any_name", "_parameters", "_types")

    def __init__(self, tools: Iterable[Mapping[str, Any]] = (), *, any_name: bool = False) -> None:
        self._any_name = any_name
        self._parameters: dict[str, Any] = {}
        self._types: dict[str, dict[str, str]] = {}
        for tool in tools:
            function = tool.get("function", tool)  # Responses and Messages have no inner object
            if isinstance(function, Mapping) and isinstance(function.get("name"), str):
                schema = function.get("parameters") or function.get("input_schema")
                self._parameters[function["name"]] = schema if schema is not None else {}

    def accepts(self, name: str) -> bool:
        """Whether a call of `name` is a call."""
        return bool(name) and (self._any_name or name in self._parameters)

    def types(self, name: str) -> dict[str, str]:
        """The declared type of each property of `name`; unions and the like count as none."""
        types = self._types.get(name)
        if types is None:
            types = self._types[name] = _types(self._parameters.get(name))
        return types


def _types(schema: Any) -> dict[str, str]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    return {
        key: value["type"]
        for key, value in properties.items()
        if isinstance(value, Mapping) and isinstance(value.get("type"), str)
    }
