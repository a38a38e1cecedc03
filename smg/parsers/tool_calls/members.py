"""The members of an object, as they are written: arguments that come one by one become that."""

from __future__ import annotations

from smg._speedups.text_values import escaped, member_text, plain_value, stripped
from smg.parsers.coercion import coerce, infer_json
from smg.parsers.tool_calls.base import BlockParser

# In this order: `&amp;lt;` is `&lt;`.
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", '"'), ("&apos;", "'"))

_NO_TYPES: dict[str, str] = {}


class MemberCalls(BlockParser):
    """Calls that are written member by member. One that is cut in the middle of a value keeps what
    there is of it, as JSON that is cut too.
    """

    #: whether the schema has a say
    typed = True
    #: white space around values means nothing
    trims = True
    #: entities in values are decoded
    decodes = False

    def _reset(self) -> None:
        BlockParser._reset(self)
        self._types = _NO_TYPES
        self._members = 0
        self._trims = self.trims
        self._decodes = self.decodes

    def begin(self, name: str) -> None:
        BlockParser.begin(self, name)
        self._types = self.tools.types(name) if self.typed else _NO_TYPES
        self._members = 0
        self.owed = self.closers

    def infer(self, raw: str) -> str:
        """How a value is read that has no declared type and is neither word nor usual number."""
        return infer_json(raw)

    def value(self, key: str, raw: str) -> str:
        """The JSON text of a value."""
        if self._trims:
            raw = stripped(raw)
        if self._decodes and "&" in raw:
            for entity, character in _ENTITIES:
                raw = raw.replace(entity, character)
        declared = self._types.get(key) if self._types else None
        if declared is not None:
            return coerce(raw, declared, self.infer)
        value = plain_value(raw, True)
        return self.infer(raw) if value is None else value

    def end(self) -> None:
        """Closes the object."""
        self._write("}" if self._members else "{}")

    def _write_member(self, key: str, value: str) -> None:
        """A key, and as much of the value as is known."""
        self._write(member_text("," if self._members else "{", key, value))
        self._members += 1

    def _cut(self, key: str | None, rest: str) -> None:
        """Writes what there is of a parameter that is cut."""
        if key is None:
            if rest:
                self._write(f'{"," if self._members else "{"}"{escaped(rest)}')
            return
        self._write_member(key, "")
        if self._trims:
            rest = rest.lstrip()
        if rest:
            self._write(f'"{escaped(rest)}')
