"""Calls whose arguments are written one by one, as in XML: all that is between their tags.

Like the engine's primitives this is state and no generator: half of the text is tags, and to wake a
generator at each costs as much as all the rest. Formats say in `Tags` how a call is written; what
they read in another way, they override.
"""

from __future__ import annotations

from smg._speedups.text_scan import Characters, Markers
from smg._speedups.text_values import stripped
from smg.parsers.engine import EndOfText
from smg.parsers.tool_calls.members import MemberCalls

MAX_NAME = 256  # characters; OpenAI allows 64

# Where a parser stands in a call.
_BEFORE_PART = 0
_AT_PART = 1
_IN_NAME = 2
_BEHIND_NAME = 3
_BETWEEN = 4
_AT_TAG = 5
_IN_KEY = 6
_BEHIND_KEY = 7
_AT_VALUE = 8
_IN_VALUE = 9
_BEHIND_CALL = 10

# As in the engine.
_FOUND = 0
_OVER = 1
_MALFORMED = 2
_CONTENT = -1

_NAME = Characters(but='<>"\n')


class Tags:
    """How a format writes a call. `head`: parts in front of the name, before each of which white
    space may stand. `parameter` opens a parameter up to its key, `call_end` closes the call, as any
    of `others` does, which belong to what follows. `dropped` is nothing, also in values.
    """

    def __init__(
        self,
        head: tuple[str, ...],
        name_end: str,
        parameter: str,
        key_end: str,
        value_end: str,
        call_end: str,
        *others: str,
        dropped: tuple[str, ...] = (),
        names: Characters = _NAME,
    ) -> None:
        self.head = head
        self.names = names
        self.name_end = (name_end,)
        self.parameter = parameter
        self.call_end = call_end
        self.key_end = Markers((key_end,))
        self.value_end = Markers((value_end, *dropped))
        self.inside = Markers((parameter, call_end, *others, *dropped))
        self.dropped = dropped


class ParameterCalls(MemberCalls):
    """Reads values up to a closing tag and writes members."""

    #: formats have their own
    tags = Tags((), ">", "<parameter=", ">", "</parameter>", "</function>")

    def _reset(self) -> None:
        MemberCalls._reset(self)
        self._tags: Tags | None = None
        self._head: tuple[str, ...] = ()
        self._place_in_call = _BETWEEN
        self._name = ""
        self._key = ""
        self._before: list[str] | None = None  # of a value: up to a marker that does not end it

    def block(self, marker: str) -> None:
        self._at += len(marker)
        head = self.tags.head
        begin = self._all.call_begin
        if begin and self._enters(marker):
            head = (begin, *head)
        self._tags = self.tags
        self._head = head
        self._place_in_call = _BEFORE_PART
        if not head:
            self._begin_name()

    def accepts(self, name: str) -> bool:
        """Whether a call of that name is a call."""
        return self.tools.accepts(name)

    def _read_block(self) -> bool:
        if not self._read_call():
            return False
        outcome = self._outcome
        self._outcome = _FOUND
        if outcome == _OVER:
            raise EndOfText
        self._after_call = outcome == _FOUND
        return True

    def _read_call(self) -> bool:
        """Goes on with a call; whether it is through, or malformed, or the text is over."""
        while True:
            place = self._place_in_call
            if place == _IN_VALUE:
                if not self._read_value():
                    return False
            elif place == _AT_TAG:
                if not self._read_tag():
                    return False
            elif place == _BETWEEN:
                if not self._skip_white():
                    return False
                self._place_in_call = _AT_TAG
            elif place < _BETWEEN:
                if not self._read_head():
                    return False
            elif not self._read_key():
                return False
            if self._outcome or self._place_in_call == _BEHIND_CALL:
                return True

    # Each of these reads one thing, and sets where the parser stands then. False: text is wanting.

    def _read_head(self) -> bool:
        """What is in front of the parameters."""
        tags = self._tags
        assert tags is not None
        place = self._place_in_call
        if place == _BEFORE_PART:
            if not self._skip_white():
                return False
            self._options = self._head[:1]
            self._place_in_call = _AT_PART
        elif place == _AT_PART:
            if not self._expect():
                return False
            if self._found is None:
                self._outcome = _MALFORMED
                return True
            self._head = self._head[1:]
            if self._head:
                self._place_in_call = _BEFORE_PART
            else:
                self._begin_name()
        elif place == _IN_NAME:
            if not self._read_run():
                return False
            self._name = stripped("".join(self._run))
            self._options = tags.name_end
            self._place_in_call = _BEHIND_NAME
        else:
            if not self._expect():
                return False
            if self._found is None or not self.accepts(self._name):
                self._outcome = _MALFORMED
            else:
                self._announce()
        return True

    def _begin_name(self) -> None:
        assert self._tags is not None
        self._characters = self._tags.names
        self._limit = MAX_NAME
        self._run = []
        self._place_in_call = _IN_NAME

    def _announce(self) -> None:
        """The name is complete."""
        self.begin(self._name)
        self._place_in_call = _BETWEEN

    def _read_tag(self) -> bool:
        """What stands between parameters and is neither one nor the end is content."""
        tags = self._tags
        assert tags is not None
        self._markers = tags.inside
        self._sink_kind = _CONTENT
        if not self._find():
            return False
        found = self._found
        if self._outcome or found is None:
            return True
        if found == tags.parameter:
            self._begin_key()
        elif found in tags.dropped:
            self._place_in_call = _BETWEEN
        else:
            if found != tags.call_end:
                self._give_back(found)
            self._end_call()
        return True

    def _expect_tag(self) -> bool:
        """For formats in which nothing else may stand between parameters: passes one of the tags,
        which is `_found` then.
        """
        assert self._tags is not None
        self._options = self._tags.inside.texts
        if not self._expect():
            return False
        if self._found is None:
            self._outcome = _MALFORMED
        return True

    def _begin_key(self) -> None:
        assert self._tags is not None
        self._markers = self._tags.key_end
        self._place_in_call = _IN_KEY

    def _read_key(self) -> bool:
        if not self._gather():
            return False
        if self._outcome:
            self._cut(None, self._gathered)
            return True
        self._key = stripped(self._gathered)
        self._begin_value()
        return True

    def _begin_value(self) -> None:
        assert self._tags is not None
        self._markers = self._tags.value_end
        self._place_in_call = _IN_VALUE

    def _read_value(self) -> bool:
        if not self._gather():
            return False
        if self._outcome:
            self._cut(self._key, self._gathered)
            return True
        self._write_member(self._key, self.value(self._key, self._gathered))
        self._place_in_call = _BETWEEN
        return True

    def _go_on_behind(self, text: str) -> None:
        """The value goes on behind that and the marker that has been found."""
        if self._before is None:
            self._before = []
        self._before.append(text)

    def _whole_with(self, text: str) -> str:
        """All of the value, which ends with that."""
        if self._before is not None:
            text = "".join(self._before) + text
            self._before = None
        return text

    def _end_call(self) -> None:
        self.end()
        self._place_in_call = _BEHIND_CALL
