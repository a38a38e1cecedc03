"""The argument grammar: tokens of the command line to values of flags (cli 3).

Long flags only, full names only, `--x value` or `--x=value`. Lists take every token up to the next
one that starts with `-`, and repeated flags add up. Not argparse: greedy lists, the optional port
of `--prefill` and the pass-through of `smg serve` are each a fight with it, while the whole grammar
fits on this page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smg.config import items
from smg.config.flags.row import Flag
from smg.config.kinds import Kind, Many


class UsageError(Exception):
    """The command line cannot be read; exit code 2. The message never repeats a secret."""


@dataclass(slots=True)
class Given:
    """What a command line said: values by field name, lists as tuples.

    And the tokens that were not ours.
    """

    values: dict[str, Any] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)


def read_tokens(
    argv: Sequence[str], options: Mapping[str, Flag], *, keep_unknown: bool = False
) -> Given:
    """Parse `argv`.

    With `keep_unknown`, other tokens are collected in order, and `--` hands over all that follow.
    """
    return _Reader(argv, options, keep_unknown).read()


class _Reader:
    """One pass over the tokens; `at` is the next one."""

    __slots__ = ("argv", "at", "given", "keep_unknown", "last", "options")

    def __init__(
        self, argv: Sequence[str], options: Mapping[str, Flag], keep_unknown: bool
    ) -> None:
        self.argv = argv
        self.options = options
        self.keep_unknown = keep_unknown
        self.at = 0
        self.given = Given()
        self.last: Flag | None = None  # the flag before the current token

    def read(self) -> Given:
        while self.at < len(self.argv):
            token = self.argv[self.at]
            self.at += 1
            name, equals, text = token.partition("=")
            flag = self.options.get(name)
            if flag is not None:
                self.flag(name, flag, text if equals else None)
                self.last = flag
            elif not self.keep_unknown:
                raise self.unknown(token, name)
            elif token == "--":
                self.given.rest += self.argv[self.at :]
                break
            else:
                self.given.rest.append(token)
        return self.given

    def flag(self, name: str, flag: Flag, inline: str | None) -> None:
        """Read the value or values of one flag; `inline` is the text after `=`."""
        kind, values = flag.kind, self.given.values
        if isinstance(kind, Many):
            texts = self.many(name, kind) if inline is None else [inline]
            read = [self.value(name, flag, text) for text in texts]
            if kind.has_port and read:
                read[-1] = self.bootstrap_port(read[-1])
            values[flag.field] = (*values.get(flag.field, ()), *read)
        elif kind.is_switch:
            values[flag.field] = True if inline is None else self.value(name, flag, inline)
        else:
            text = self.one(name, kind) if inline is None else inline
            values[flag.field] = self.value(name, flag, text)

    def one(self, name: str, kind: Kind) -> str:
        """The next token as a value."""
        if self.at == len(self.argv):
            raise UsageError(f"{name}: needs a value")
        token = self.argv[self.at]
        if token.startswith("-") and not (kind.may_be_negative and _is_number(token)):
            hint = (
                "" if token in self.options else f" (write {name}=VALUE if it starts with a dash)"
            )
            raise UsageError(f"{name}: needs a value{hint}")
        self.at += 1
        return token

    def many(self, name: str, kind: Many) -> list[str]:
        """All tokens up to the next that starts with `-`; only one where a port may follow it."""
        start = self.at
        while self.at < len(self.argv) and not self.argv[self.at].startswith("-"):
            self.at += 1
            if kind.has_port:
                break
        if self.at - start < kind.least:
            raise UsageError(f"{name}: needs a value")
        return list(self.argv[start : self.at])

    def bootstrap_port(self, value: tuple[str, int | None]) -> tuple[str, int | None]:
        """Take the next token as well if it is a port or `none`."""
        if self.at < len(self.argv) and items.is_optional_port(self.argv[self.at]):
            value = (value[0], items.optional_port(self.argv[self.at]))
            self.at += 1
        return value

    def value(self, name: str, flag: Flag, text: str) -> Any:
        try:
            return flag.kind.parse(text)
        except ValueError as error:
            shown = "" if flag.secret else f", not {text!r}"
            raise UsageError(f"{name}: {error}{shown}") from None

    def unknown(self, token: str, name: str) -> UsageError:
        if token.startswith("--") and token != "--":
            close = _closest(name, self.options)
            return UsageError(
                f"unknown flag {name}" + (f", did you mean {close}?" if close else "")
            )
        # A secret with a blank in it and no quotes arrives here in pieces.
        if self.last is not None and self.last.secret:
            return UsageError(f"unexpected argument after --{self.last.name}")
        return UsageError(f"unexpected argument {token!r}")


def _is_number(token: str) -> bool:
    try:
        items.decimal(token)
    except ValueError:
        return False
    return True


def _closest(name: str, options: Mapping[str, Flag]) -> str | None:
    import difflib

    found = difflib.get_close_matches(name, options, n=1, cutoff=0.8)
    return found[0] if found else None
