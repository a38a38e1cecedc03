"""Which metrics and labels a PromQL expression uses: enough of the language for queries that people
write into dashboards and alerts, and an error for anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<range>\[[^\]]*\])
    | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])""",
    re.VERBOSE,
)
_FUNCTIONS = frozenset(
    {
        *("sum", "count", "avg", "min", "max", "topk", "bottomk", "quantile"),
        *("rate", "increase", "irate", "delta", "histogram_quantile"),
        *("absent", "vector", "scalar", "clamp_min", "clamp_max", "time"),
    }
)
#: functions of counters; anything that goes up and down makes nonsense of them
_OF_COUNTERS = frozenset({"rate", "increase", "irate"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})
_GROUPS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


@dataclass
class Query:
    """`selected`: metric and the labels it is selected by; `grouped`: labels that are grouped by;
    `counters`: metrics inside a rate; `quantiles`: whether there is a histogram_quantile.
    """

    selected: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    quantiles: bool = False


def parse(text: str) -> Query:
    """Raises ValueError for what it does not know."""
    tokens = _tokens(text)
    query = Query()
    open_by: list[str] = []  # what each open parenthesis belongs to
    index = 0
    labels: set[str]
    while index < len(tokens):
        kind, value = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if value in _GROUPS and kind == "name":
            labels, index = _list(tokens, index + 1)
            query.grouped |= labels
            continue
        if kind == "name" and (value in _FUNCTIONS or value in _WORDS):
            query.quantiles |= value == "histogram_quantile"
            if value in _FUNCTIONS and following not in ("(", "by", "without"):
                raise ValueError(f"{value} is called without arguments in {text!r}")
            if following == "(":
                open_by.append(value)
                index += 1
            elif value in _FUNCTIONS:  # sum by (a) (...)
                labels, index = _list(tokens, index + 2)
                query.grouped |= labels
                if index >= len(tokens) or tokens[index][1] != "(":
                    raise ValueError(f"{value} of nothing in {text!r}")
                open_by.append(value)
        elif kind == "name":
            if following == "(":
                raise ValueError(f"the unknown function {value} in {text!r}")
            labels = set()
            if following == "{":
                labels, index = _matchers(tokens, index + 1, text)
                index -= 1
            query.selected.append((value, frozenset(labels)))
            if _OF_COUNTERS & set(open_by):
                query.counters.add(value)
        elif value == "(":
            open_by.append("")
        elif value == ")":
            if not open_by:
                raise ValueError(f"a parenthesis too many in {text!r}")
            open_by.pop()
        elif value in "{}":
            raise ValueError(f"a selector without a name in {text!r}")
        index += 1
    if open_by:
        raise ValueError(f"a parenthesis is missing in {text!r}")
    return query


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text[at : at + 10]!r} in {text!r}")
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
        at = match.end()
    return found


def _list(tokens: list[tuple[str, str]], index: int) -> tuple[set[str], int]:
    """The names between parentheses, and where it goes on."""
    if index >= len(tokens) or tokens[index][1] != "(":
        return set(), index
    end = next(at for at in range(index, len(tokens)) if tokens[at][1] == ")")
    return {value for kind, value in tokens[index:end] if kind == "name"}, end + 1


def _matchers(tokens: list[tuple[str, str]], index: int, text: str) -> tuple[set[str], int]:
    end = next(at for at in range(index, len(tokens)) if tokens[at][1] == "}")
    inside = tokens[index + 1 : end]
    labels = set()
    for at in range(0, len(inside), 4):
        row = [kind for kind, _ in inside[at : at + 4]]
        signs = [value for _, value in inside[at : at + 4]]
        if row[:3] != ["name", "sign", "text"] or signs[1] not in ("=", "!=", "=~", "!~"):
            raise ValueError(f"bad matchers in {text!r}")
        labels.add(signs[0])
    return labels, end + 1
