"""Python literals that models write, as JSON values. Nothing is ever evaluated."""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

MAX_SOURCE = 64 << 10  # characters: bounds what Python's own parser has to bear


def expression(source: str) -> ast.expr | None:
    """The parsed expression; None if it is none, or too much for the parser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes that a model wrote
        try:
            return ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def json_value(node: ast.expr) -> Any:
    """The JSON value of a literal. ValueError for what is none."""
    match node:
        case ast.Constant(value=value):
            return _constant(value)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [json_value(element) for element in elements]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_key(key): json_value(value) for key, value in pairs}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float())):
            value = _constant(node.operand.value)  # type: ignore[attr-defined]
            if isinstance(value, bool):
                raise ValueError("a sign before a truth value")
            return -value if isinstance(node.op, ast.USub) else value
        case ast.Name(id=name):  # true, false and null, as JSON writes them; else a bare word
            return {"true": True, "false": False, "null": None}.get(name, name)
    raise ValueError(f"no literal: {type(node).__name__}")


def _constant(value: object) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"no literal: {value!r}")


def _key(node: ast.expr | None) -> str:
    """A key as JSON has it: a string."""
    key = None if node is None else json_value(node)
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None and node is not None:
        return "null"
    if isinstance(key, int | float):
        return str(key)
    raise ValueError("no key")
