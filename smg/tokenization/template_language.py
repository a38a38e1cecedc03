"""Jinja as chat templates know it: the sandbox, and the names that Hugging Face adds to it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from smg.tokenization.libraries import library

_GENERATION = ("name:endgeneration",)


def raise_exception(message: object) -> NoReturn:
    """What templates call when they cannot render a conversation."""
    raise library("jinja2").TemplateError(str(message))


def strftime_now(form: str) -> str:
    """The local date and time; Llama 3 prints it into its system message."""
    return datetime.datetime.now().strftime(form)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """`tojson` without HTML escapes: what a model was trained on, not what a page shows."""
    if separators is not None:
        first, second = separators
        if not (isinstance(first, str) and isinstance(second, str)):
            raise ValueError("tojson: separators must be two strings")
        separators = (first, second)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_null,
    )


def _null(value: object) -> None:
    if not isinstance(value, _absent_class()):
        raise TypeError(f"{type(value).__name__} is not JSON serializable")


@cache
def absent(name: str) -> Any:
    """The value of what a request does not have: `tools`, `documents`, a message's `content`.

    Templates ask in two ways, `tools is defined` and `tools is not none`: this is undefined to the
    first, none to the second, empty, and printed as nothing.
    """
    return _absent_class()(name=name)


@cache
def _absent_class() -> Any:
    class Absent(library("jinja2").Undefined):  # type: ignore[misc]
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return other is None or isinstance(other, Absent)

        def __ne__(self, other: object) -> bool:
            return not self == other

        def __hash__(self) -> int:
            return hash(None)

    return Absent


def _is_none(value: object) -> bool:
    return value is None or isinstance(value, _absent_class())


@cache
def environment() -> Any:
    """The one environment of all templates: blocks leave no blank lines, and nothing can be
    reached or changed but what is handed in.
    """
    library("jinja2")
    # Only here: jinja2 is optional.
    import jinja2.ext
    import jinja2.sandbox
    from jinja2 import nodes
    from jinja2.parser import Parser

    class Generation(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}` marks the assistant's words for training."""

        tags = {"generation"}  # noqa: RUF012 (declared so by jinja2)

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(_GENERATION, drop_needle=True)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = to_json
    made.tests["none"] = _is_none
    functions: dict[str, Callable[..., Any]] = {
        "raise_exception": raise_exception,
        "strftime_now": strftime_now,
    }
    made.globals.update(functions)
    return made
