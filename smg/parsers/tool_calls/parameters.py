"""Calls whose arguments are written one by one, as in XML: they become the members of an object.

A call that is cut in the middle of a value keeps what there is of it, as JSON that is cut too.
"""

from __future__ import annotations

from collections.abc import Callable

from smg._speedups.text_scan import Characters, Markers
from smg._speedups.text_values import escaped, quoted
from smg.parsers.coercion import coerce, infer_json
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, ToolContext

MAX_NAME = 256  # characters; OpenAI allows 64

# Where a parser stands in a call.
_BETWEEN = 0
_AT_TAG = 1
_IN_KEY = 2
_BEHIND_KEY = 3
_AT_VALUE = 4
_IN_VALUE = 5

# As in the engine; and one more that waits for text.
_CONTENT = -1
_TO_LIST = -3
_WHITE = " \t\r\n"
_PARAMETERS = 7

_NAME = Characters(but='<>"\n')
# In this order: `&amp;lt;` is `&lt;`.
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", '"'), ("&apos;", "'"))


class Tags:
    """The tags of a format: `parameter` opens one up to its key, `call_end` closes the call, as
    any of `others` does, which belong to what follows. `dropped` is nothing, also in values.
    """

    def __init__(
        self,
        parameter: str,
        key_end: str,
        value_end: str,
        call_end: str,
        *others: str,
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.parameter = parameter
        self.call_end = call_end
        self.key_end = Markers((key_end,))
        self.value_end = Markers((value_end, *dropped))
        self.inside = Markers((parameter, call_end, *others, *dropped))
        self.dropped = dropped


class ParameterCalls(BlockParser):
    """Reads values up to a closing tag and writes members."""

    #: whether the schema has a say
    typed = True
    #: white space around values means nothing
    trims = True
    #: entities in values are decoded
    decodes = False

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._types: dict[str, str] = {}
        self._members = 0
        self._tags: Tags | None = None
        self._place_in_call = _BETWEEN
        self._key = ""
        self._trims = self.trims
        self._decodes = self.decodes

    def begin(self, name: str) -> None:
        BlockParser.begin(self, name)
        self._types = self.tools.types(name) if self.typed else {}
        self._members = 0
        self.owed = self.closers

    def key(self, key: str) -> None:
        """The beginning of a member: all before the value."""
        self.arguments(f"{',' if self._members else '{'}{quoted(key)}:")
        self._members += 1

    def infer(self, raw: str) -> str:
        """How a value is read that has no declared type and is neither word nor usual number."""
        return infer_json(raw)

    def value(self, key: str, raw: str) -> str:
        """The JSON text of a value."""
        if self._trims:
            raw = raw.strip()
        if self._decodes and "&" in raw:
            for entity, character in _ENTITIES:
                raw = raw.replace(entity, character)
        return coerce(raw, self._types.get(key), self.infer)

    def member(self, key: str, raw: str) -> None:
        """A member whose value has been read."""
        begin = "," if self._members else "{"
        self._members += 1
        self.arguments(f"{begin}{quoted(key)}:{self.value(key, raw)}")

    def end(self) -> None:
        """Closes the object."""
        self.arguments("}" if self._members else "{}")

    def parameters(self, tags: Tags) -> Steps[bool]:
        """All parameters of a call that is announced, and its end; true, as of `block`. What stands
        between them and is neither parameter nor end is content.
        """
        self._tags = tags
        self._place_in_call = _BETWEEN
        if not self._read_parameters():
            self._want = _PARAMETERS
            yield
        self.found()
        return True

    # Like the engine's primitives this is state and no generator: half of the text is tags, and to
    # wake a generator at each costs as much as all the rest.

    def _continue(self) -> bool:
        if self._want == _PARAMETERS:
            return self._read_parameters()
        return BlockParser._continue(self)

    def _read_parameters(self) -> bool:
        """Goes on with `parameters`; whether they are through, or the text."""
        tags = self._tags
        assert tags is not None
        while True:
            place = self._place_in_call
            if place == _BETWEEN:
                self._also = _WHITE
                if not self._skip_space():
                    return False
                self._markers = tags.inside
                self._sink_kind = _CONTENT
                self._place_in_call = _AT_TAG
            elif not self._search():
                return False
            elif place == _AT_TAG:
                found = self._found
                if self._outcome or found is None:
                    return True
                if found != tags.parameter:
                    if found == tags.call_end:
                        self._pass(len(found))
                    self.end()
                    return True
                self._pass(len(found))
                self._collect(tags.key_end, _IN_KEY)
            elif place == _IN_KEY:
                key = "".join(self._list)
                if self._outcome:
                    self._cut(None, key)
                    return True
                self._pass(len(tags.key_end.texts[0]))
                self._key = key.strip()
                self._collect(tags.value_end, _IN_VALUE)
            else:
                value = "".join(self._list)
                if self._outcome:
                    self._cut(self._key, value)
                    return True
                self._pass(len(tags.value_end.texts[0]))
                self.member(self._key, value)
                self._place_in_call = _BETWEEN

    def _collect(self, markers: Markers, place: int) -> None:
        """The text up to a marker is to be read."""
        self._markers = markers
        self._sink_kind = _TO_LIST
        self._list = []
        self._place_in_call = place

    def _cut(self, key: str | None, rest: str) -> None:
        """Writes what there is of a parameter that is cut."""
        if key is None:
            if rest:
                self.arguments(f'{"," if self._members else "{"}"{escaped(rest)}')
            return
        self.key(key)
        if self._trims:
            rest = rest.lstrip()
        if rest:
            self.arguments(f'"{escaped(rest)}')

    def name(self, end: str, accept: Callable[[str], bool]) -> Steps[str]:
        """A name and the `end` of its tag. MalformedText if it is none, or too long."""
        if not self.try_run_of(_NAME, MAX_NAME):
            yield
        name = self.matched().strip()
        if not self.try_ahead((end,)):
            yield
        if self.skipped() is None or not accept(name):
            raise MalformedText
        return name
