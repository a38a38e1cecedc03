"""Kinds of flag values: how text and values from a file become the value of a setting.

A kind parses one item and knows nothing of flags. `parse` takes text from the command line or an
environment variable, `accept` a native value from a file; both raise ValueError saying what is
allowed. `problem` states a range rule that is reported together with all other configuration errors
rather than as a usage error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from smg.config import items

_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


class Kind:
    """One value after the flag: plain text. `label` is the placeholder in the help."""

    # How the grammar reads it: none of these = exactly one value.
    is_switch = False
    is_list = False
    has_port = False
    may_be_negative = False

    def __init__(self, label: str = "TEXT") -> None:
        self.label = label

    def parse(self, text: str) -> Any:
        """Text to value."""
        return text

    def accept(self, value: Any) -> Any:
        """A value from a file to the same value `parse` gives."""
        if not isinstance(value, str):
            raise ValueError("must be a text")
        return self.parse(value)

    def variable(self, text: str) -> Any:
        """The whole value from an environment variable."""
        return self.parse(text)

    def problem(self, value: Any) -> str | None:
        """What is wrong with the range of a parsed value, or None."""
        return None


class Switch(Kind):
    """Present or absent; `--x=true` and `--x=false` are understood too."""

    is_switch = True

    def __init__(self) -> None:
        super().__init__("")

    def parse(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("takes no value, or =true or =false")
        return text.lower() == "true"

    def accept(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value


class Int(Kind):
    """An integer; `low` and `high` are inclusive."""

    may_be_negative = True

    def __init__(self, low: int | None = None, high: int = 2**63 - 1, label: str = "N") -> None:
        super().__init__(label)
        self.low = low
        self.high = high

    def parse(self, text: str) -> int:
        return items.integer(text)

    def accept(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be an integer")
        return value

    def problem(self, value: Any) -> str | None:
        if self.low is not None and value < self.low:
            return f"must be at least {self.low}"
        return f"must be at most {self.high}" if value > self.high else None


class Seconds(Int):
    """Whole seconds. Bounded, because clocks and timers overflow long before integers do."""

    def __init__(self, low: int = 0) -> None:
        super().__init__(low, 2**31 - 1, "SECS")


class Port(Int):
    """A TCP port. Outside 0 to 65535 is a usage error; 0 itself needs `low=0`."""

    may_be_negative = False

    def __init__(self, low: int = 1) -> None:
        super().__init__(low, 65535, "PORT")

    def parse(self, text: str) -> int:
        return items.port(text)


class Float(Kind):
    """A finite number; `low` and `high` are inclusive."""

    may_be_negative = True

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        super().__init__("NUMBER")
        self.low = low
        self.high = high

    def parse(self, text: str) -> float:
        return items.decimal(text)

    def accept(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError("must be a number")
        return float(value)

    def problem(self, value: Any) -> str | None:
        if not math.isfinite(value):
            return "must be finite"
        if self.low is not None and value < self.low:
            return f"must be at least {self.low:g}"
        if self.high is not None and value > self.high:
            return f"must be at most {self.high:g}"
        return None


class Choice(Kind):
    """One of `names`.

    `later` maps names that are known but not built yet to the feature they wait for.
    """

    def __init__(self, *names: str, later: Mapping[str, str] | None = None) -> None:
        super().__init__("{" + ",".join(names) + "}")
        self.names = names
        self.later = dict(later or {})

    def parse(self, text: str) -> str:
        if text not in self.names and text not in self.later:
            raise ValueError(f"must be one of {items.joined(self.names)}")
        return text


class PolicyName(Choice):
    """A policy of ours, one that an installed package offers, or a class named `module:Class`.

    Packages offer policies as entry points of the group `smg.policies`; they are looked up only
    when the name is none of ours.
    """

    GROUP = "smg.policies"

    def parse(self, text: str) -> str:
        if text in self.names or text in self.later or _CLASS.match(text):
            return text
        from importlib.metadata import entry_points  # slow to import, and seldom needed

        offered = sorted({point.name for point in entry_points(group=self.GROUP)})
        if text in offered:
            return text
        raise ValueError(
            f"must be one of {items.joined((*self.names, *offered))}, or a class as module:Class"
        )


class Item(Kind):
    """One text with an inner grammar, read by a function of `items`."""

    def __init__(self, label: str, read: Callable[[str], Any]) -> None:
        super().__init__(label)
        self.read = read

    def parse(self, text: str) -> Any:
        return self.read(text)


class ControlPlaneKey(Item):
    """`ID:NAME:ROLE:KEY`; from Python also (id, name, key, role)."""

    def __init__(self) -> None:
        super().__init__("ID:NAME:ROLE:KEY", items.control_plane_key)

    def accept(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, (list, tuple)) or len(value) != 4:
            raise ValueError("must be ID:NAME:ROLE:KEY")
        identity, name, key, role = (str(part) for part in value)
        if ":" in identity + name:
            raise ValueError("must have an id and a name without a colon")
        return self.parse(f"{identity}:{name}:{role}:{key}")


class TenantKey(Kind):
    """`TENANT:KEY`, kept as one text. What is wrong with it is reported as a range is, with all
    other configuration errors.
    """

    def __init__(self) -> None:
        super().__init__("TENANT:KEY")

    def parse(self, text: str) -> str:
        """Blanks around either part are taken off: on a command line they are slips."""
        tenant, colon, key = text.partition(":")
        return f"{tenant.strip()}{colon}{key.strip()}"

    def accept(self, value: Any) -> str:
        """As it is: what is in a file was meant so, and blanks are then a problem."""
        if not isinstance(value, str):
            raise ValueError("must be a text")
        return value

    def problem(self, value: Any) -> str | None:
        try:
            items.tenant_key(value)
        except ValueError as error:
            return f"<redacted>: {error}"
        return None


class Integers(Item):
    """Comma-separated integers in one value."""

    def __init__(self) -> None:
        super().__init__("N,N,...", items.integers)

    def accept(self, value: Any) -> list[int]:
        if isinstance(value, str):
            return items.integers(value)
        if not isinstance(value, list):
            raise ValueError("must be a list of integers")
        return [Int().accept(item) for item in value]


class Many(Kind):
    """Several values of one kind after the flag; repeated flags add up.

    `least` values per occurrence. `split` finds the items in an environment variable, which
    otherwise holds one.
    """

    is_list = True

    def __init__(
        self,
        item: Kind | None = None,
        *,
        least: int = 0,
        maps: bool = False,
        split: Callable[[str], list[str]] | None = None,
    ) -> None:
        self.item = item or Kind("VALUE")
        self.least = least
        self.split = split
        self.maps = maps  # a file may give a map, for items of the form KEY=VALUE
        self.may_be_negative = self.item.may_be_negative
        self.has_port = self.item.has_port
        super().__init__(self.item.label)

    def parse(self, text: str) -> Any:
        """One item, not the whole list."""
        return self.item.parse(text)

    def variable(self, text: str) -> tuple[Any, ...]:
        pieces = self.split(text) if self.split else [text]
        return tuple(self.item.parse(piece) for piece in pieces)

    def accept(self, value: Any) -> tuple[Any, ...]:
        if self.maps and isinstance(value, dict):
            value = [f"{key}={item}" for key, item in value.items()]
        if not isinstance(value, list):
            raise ValueError("must be a list")
        if len(value) < self.least:
            raise ValueError("must not be empty")
        return tuple(self.item.accept(item) for item in value)

    def problem(self, value: Any) -> str | None:
        problems = (self.item.problem(item) for item in value)
        return next((problem for problem in problems if problem), None)


class UrlWithPort(Kind):
    """A URL and an optional bootstrap port: (url, port or None).

    The grammar reads the second token.
    """

    has_port = True

    def __init__(self) -> None:
        super().__init__("URL [PORT]")

    def parse(self, text: str) -> tuple[str, int | None]:
        return text, None

    def accept(self, value: Any) -> tuple[str, int | None]:
        if isinstance(value, str):
            return value, None
        if isinstance(value, dict) and set(value) <= {"url", "bootstrap_port"}:
            url, number = value.get("url"), value.get("bootstrap_port")
            if isinstance(url, str) and (number is None or type(number) is int):
                return url, number
        raise ValueError("must be a list of URLs or of {url, bootstrap_port}")

    def problem(self, value: Any) -> str | None:
        return "bootstrap port must be 1-65535" if value[1] == 0 else None
