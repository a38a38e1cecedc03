"""Label selectors: which pods are workers, and of which role (operations 1.1 and 1.11).

The language of Kubernetes, `app in (sglang, vllm),tier!=test,!canary`, and the plain lists of pairs
that people write instead: several items, each with blanks or commas between its parts. Pure; the
settings check selectors with it, service discovery will match pods.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(==|!=|[=!(),]|[^\s=!(),]+)")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DOMAIN_PART = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LONGEST_DOMAIN = 253
_SIGNS = ("=", "==", "!=", "!", "(", ")", ",")


class Operator(enum.Enum):
    """What a requirement asks of a label; the value is how it is written."""

    EQUALS = "="
    DIFFERS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = ""
    MISSING = "!"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on the label `key`. `values` is one for `=` and `!=`, at least one for `in` and
    `notin`, and empty for the others.
    """

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it. As in Kubernetes, `!=` and `notin` are met without the label,
        too.
        """
        value = labels.get(self.key)
        if self.operator in (Operator.EQUALS, Operator.IN):
            return value is not None and value in self.values
        if self.operator in (Operator.DIFFERS, Operator.NOT_IN):
            return value not in self.values
        return (value is None) is (self.operator is Operator.MISSING)

    def __str__(self) -> str:
        sign = self.operator.value
        if self.operator in (Operator.IN, Operator.NOT_IN):
            return f"{self.key} {sign} ({','.join(sorted(self.values))})"
        if self.operator is Operator.MISSING:
            return f"!{self.key}"
        return f"{self.key}{sign}{''.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All of its requirements must be met; without any it matches nothing. As text it is what the
    API of Kubernetes takes.
    """

    requirements: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is meant."""
        return bool(self) and all(one.matches(labels) for one in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


NOTHING = Selector()


@dataclass(frozen=True, slots=True)
class RoleSelectors:
    """Which pods play which part where a request is split."""

    encode: Selector = NOTHING
    prefill: Selector = NOTHING
    decode: Selector = NOTHING

    def role_of(self, labels: Mapping[str, str]) -> str | None:
        """`encode`, `prefill` or `decode`, by the first selector that matches in this order; None
        if none does.
        """
        for role in ("encode", "prefill", "decode"):
            selector: Selector = getattr(self, role)
            if selector.matches(labels):
                return role
        return None

    def common(self) -> Selector:
        """What all roles in use require: a filter for the server that leaves no pod of theirs out.
        An empty one means: no filter.
        """
        used = [one.requirements for one in (self.encode, self.prefill, self.decode) if one]
        shared = set.intersection(*map(set, used)) if used else set()
        return Selector(tuple(one for one in used[0] if one in shared)) if used else NOTHING


def parse(items: Iterable[str]) -> Selector:
    """The selector of all `items` together: each requirement must be met, but of several
    `key=value` with one key the last counts. ValueError says what is wrong.
    """
    found: dict[Requirement | str, Requirement] = {}
    for item in items:
        for one in _Reader(item).requirements():
            by_key = one.operator is Operator.EQUALS
            found[one.key if by_key else one] = one
    return Selector(tuple(found.values()))


def checked(item: str) -> str:
    """One item of a selector flag, as it is; ValueError if it cannot be read."""
    parse([item])
    return item


class _Reader:
    """One pass over the tokens of an item."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while self._peek():
            # A comma or a blank: lists of pairs are written both ways.
            if self._peek() == ",":
                self._at += 1
            found.append(self._requirement())
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._at += 1
            return Requirement(_key(self._next()), Operator.MISSING)
        key = _key(self._next())
        sign = self._peek()
        if sign in ("=", "==", "!="):
            self._at += 1
            operator = Operator.DIFFERS if sign == "!=" else Operator.EQUALS
            return Requirement(key, operator, frozenset([self._value()]))
        if sign in ("in", "notin"):
            self._at += 1
            if self._next() != "(":
                raise ValueError(f"must have values in ( ) after {sign}")
            return Requirement(key, Operator(sign), self._values())
        return Requirement(key, Operator.EXISTS)

    def _value(self) -> str:
        """A value, perhaps an empty one."""
        return "" if self._peek() in ("", ",", ")") else _value(self._next())

    def _values(self) -> frozenset[str]:
        values = {self._value()}
        while (token := self._next()) == ",":
            values.add(self._value())
        if token != ")":
            raise ValueError("must close the list of values with )")
        return frozenset(values)


def _key(token: str) -> str:
    if not token or token in _SIGNS:
        raise ValueError("must be labels such as app=x, app in (x, y), app or !app")
    domain, slash, name = token.rpartition("/")
    parts = domain.split(".") if slash else []
    if not _NAME.fullmatch(name) or not all(map(_DOMAIN_PART.fullmatch, parts)):
        raise ValueError("must have keys that are names of labels, such as app or example.com/app")
    if len(domain) > _LONGEST_DOMAIN:
        raise ValueError(f"must have keys with at most {_LONGEST_DOMAIN} characters before the /")
    return token


def _value(token: str) -> str:
    if not _NAME.fullmatch(token):
        raise ValueError("must have values of at most 63 letters, digits, '-', '_' and '.'")
    return token
