"""Rules for single fields, and the one error that reports every broken one.

A rule is a function of the value that returns None, or a `Fault`. Null never reaches a rule:
optional fields may be null. A wrong type is `json_parse_error`, a value out of range is the
integer code 400 (http-api 3.4, 4 shape B).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from smg.core.errors import RequestError
from smg.protocols.body import Statuses, shown


class Fault(NamedTuple):
    """What is wrong with a value; `at` is appended to the field's name ("[2].content")."""

    text: str
    wrong_type: bool
    at: str = ""


Rule = Callable[[Any], "Fault | None"]
Faults = list[tuple[str, Fault]]


def field_faults(rules: Mapping[str, Rule], data: dict[str, Any]) -> Faults:
    """The faults of the fields present. Walks the body: it has fewer fields than the table."""
    found: Faults = []
    rule_of = rules.get
    for name, value in data.items():
        rule = rule_of(name)
        if rule is not None and value is not None:
            fault = rule(value)
            if fault is not None:
                found.append((name, fault))
    return found


def refuse(faults: Faults, statuses: Statuses) -> RequestError:
    """The error for these faults. Wrong types hide broken ranges, as a typed parser's would."""
    types = [item for item in faults if item[1].wrong_type]
    reported = types or faults
    return RequestError(
        "; ".join(f"{name}{fault.at}: {fault.text}" for name, fault in reported),
        status=statuses.types if types else 400,
        code="json_parse_error" if types else 400,
        param=reported[0][0] + reported[0][1].at,
    )


def broken(param: str, text: str) -> RequestError:
    """The error for one broken cross-field rule."""
    return RequestError(f"{param}: {text}", code=400, param=param)


def required(name: str, data: dict[str, Any], expected: str) -> tuple[str, Fault]:
    """The fault of a required field that is absent or of another type."""
    if name not in data:
        return name, Fault("required field is missing", True)
    return name, wrong_type(expected, data[name])


def wrong_type(expected: str, value: Any, at: str = "") -> Fault:
    """The fault of a value that is not `expected` ("a string")."""
    return Fault(f"must be {expected}, not {shown(value)}", True, at)


def number(low: float, high: float, *, above: bool = False) -> Rule:
    """A number within the bounds; `above` leaves the lower bound itself out."""
    bounds = f"above {low} and at most {high}" if above else f"between {low} and {high}"

    def rule(value: Any) -> Fault | None:
        if value.__class__ is not float and value.__class__ is not int:
            return wrong_type("a number", value)
        if low <= value <= high and not (above and value == low):
            return None
        return Fault(f"must be {bounds}, not {shown(value)}", False)

    return rule


def integer(low: int, high: int | None = None) -> Rule:
    """An integer within the bounds, both included; 5.0 is none."""
    bounds = f"at least {low}" if high is None else f"between {low} and {high}"

    def rule(value: Any) -> Fault | None:
        if value.__class__ is not int:
            return wrong_type("an integer", value)
        if value >= low and (high is None or value <= high):
            return None
        return Fault(f"must be {bounds}, not {value}", False)

    return rule


def boolean(value: Any) -> Fault | None:
    """True or false."""
    return None if value is True or value is False else wrong_type("true or false", value)


def string(value: Any) -> Fault | None:
    """A string, also an empty one."""
    return None if value.__class__ is str else wrong_type("a string", value)


def mapping(value: Any) -> Fault | None:
    """An object; what is in it is for the engine."""
    return None if value.__class__ is dict else wrong_type("an object", value)


def string_or_array(value: Any) -> Fault | None:
    """Also for the batch form of a string field."""
    if value.__class__ is str or value.__class__ is list:
        return None
    return wrong_type("a string or an array", value)


def objects(value: Any) -> Fault | None:
    """An array of objects; what is in them is judged elsewhere."""
    if value.__class__ is not list:
        return wrong_type("an array", value)
    for index, item in enumerate(value):
        if item.__class__ is not dict:
            return wrong_type("an object", item, f"[{index}]")
    return None


def stop(value: Any) -> Fault | None:
    """A string or strings, none of them empty. How many is for the engine to judge (trap 3)."""
    if value.__class__ is str:
        return None if value else Fault("must not be an empty string", False)
    if value.__class__ is not list:
        return wrong_type("a string or an array of strings", value)
    for index, item in enumerate(value):
        if item.__class__ is not str:
            return wrong_type("a string", item, f"[{index}]")
        if not item:
            return Fault("must not be an empty string", False, f"[{index}]")
    return None
