"""`kimi_k3`: channels in tags of three tokens each.

<|open|>response<|sep|>One moment.<|close|>response<|sep|><|open|>tools<|sep|>
<|open|>call tool="lookup" index="1"<|sep|>
<|open|>argument key="id" type="number"<|sep|>7<|close|>argument<|sep|>
<|close|>call<|sep|><|close|>tools<|sep|>

White space inside of tags, and between those of a call, means nothing.
"""

from __future__ import annotations

import re
import sys

from smg._speedups.text_scan import Characters, Markers, quote_end, skip_white
from smg._speedups.text_values import escaped, stripped
from smg.parsers.coercion import json_or_text
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags

OPEN, CLOSE, SEP = "<|open|>", "<|close|>", "<|sep|>"
#: channels whose tags are never shown
CHANNELS = ("response", "message")

_NO_LIMIT = sys.maxsize - 1
MAX_HEAD = 1024  # characters between the tokens of a tag
_ATTRIBUTE = re.compile(r'([\w-]+)\s*=\s*"([^"]*)"')
_TOOLS = "tools"
_CALL = "call"
_WHITE = " \t\r\n"
_ARGUMENT = "argument"
_SEP = (SEP,)
# What stands around the attributes of tags as models write them.
_BEFORE_NAME = 'call tool="'
_BEFORE_INDEX = '" index="'
_BEFORE_KEY = 'argument key="'
_BEFORE_TYPE = '" type="'
_STRING = '" type="string"'
# The same with the token that the tag begins with.
_OPEN_BEFORE_KEY = OPEN + _BEFORE_KEY
_CALL_END = CLOSE + _CALL
# A value ends like this, or has white space around the word.
_VALUE_END = CLOSE + _ARGUMENT

_TOKENS = Markers((OPEN, CLOSE, SEP))
_TAG_END = Markers((SEP,))
_USUAL_END = _VALUE_END + SEP
_STRING_END = Markers(
    (_USUAL_END, *[begin + white for begin in (CLOSE, _VALUE_END) for white in _WHITE])
)
#: what the inside of the tag behind a value is made of
_CLOSING = Characters(of=_WHITE + _ARGUMENT)

# As in the engine, base.py and parameters.py.
_FOUND = 0
_MALFORMED = 2
_TO_NOBODY = -5
_ESCAPED = -6
_BEFORE_PART = 0
_IN_NAME = 2
_BETWEEN = 4
_IN_KEY = 6
_IN_VALUE = 9
_BEHIND_CALL = 10

# Where a parser stands in a string.
_IN_STRING = 0
_BEHIND_CLOSE = 1
_AT_SEP = 2


class KimiK3(ParameterCalls):
    """Undeclared names are calls too. Strings are given as they come, other values at their end."""

    starts = (OPEN, CLOSE)
    tags = Tags((OPEN,), SEP, OPEN, SEP, SEP, CLOSE)
    typed = False

    def _reset(self) -> None:
        ParameterCalls._reset(self)
        self._in_tools = False
        self._owed_end = False  # of the tools: a call in them has been read
        self._call_follows = False  # the tag of the tools has just been read
        self._bracket = ""  # the token that the tag begins with
        self._is_string = False
        self._is_whole = False  # the next tag is looked at as a whole
        self._place_in_string = _IN_STRING

    def block(self, marker: str) -> None:
        self._at += len(marker)
        self._tags = self.tags
        self._bracket = marker
        self._call_follows = False
        self._begin_name()

    def _begin_name(self) -> None:
        self._begin_tag(_IN_NAME)

    def _begin_tag(self, place: int) -> None:
        """The inside of a tag follows."""
        self._markers = _TOKENS
        self._patience = MAX_HEAD
        self._place_in_call = place

    def _read_head(self) -> bool:
        if self._place_in_call != _IN_NAME:
            return ParameterCalls._read_head(self)
        if not self._gather():
            return False
        self._patience = _NO_LIMIT
        if not self._outcome and self._is_tag():
            self._name = stripped(self._gathered)
            self._announce()
        return True

    def _is_tag(self) -> bool:
        """Whether what has been gathered is the inside of a tag. Else it is content, and a token
        in it may begin another.
        """
        head = self._gathered
        found = self._found
        assert found is not None
        cut = head.find("<")
        if cut < 0 and found == SEP and len(head) <= MAX_HEAD:
            return True
        rest = found if cut < 0 else head[cut:] + found
        text = self.held() or self._bracket + head + found  # in a call nothing is held
        self.content(text[: len(text) - len(rest)])
        self._give_back(rest)
        self._outcome = _MALFORMED
        return False

    def _announce(self) -> None:
        """The first tag of a block is complete, or the one behind that of the tools."""
        if self._call_follows:
            self._begin_call()
            return
        if self._name in CHANNELS:
            self.drop()  # so nothing will be content if this is not the end of a call
            if self._bracket == CLOSE and self._calls > 0:
                self._place_in_call = _BEHIND_CALL
            else:
                self._outcome = _MALFORMED
        elif self._name != _TOOLS:
            self._begin_call()
        elif self._bracket == OPEN:
            self._in_tools = self._call_follows = True
            self._owed_end = False
            self._head = self.tags.head
            self._place_in_call = _BEFORE_PART
        elif self._owed_end:
            self._in_tools = self._owed_end = False
            self.drop()
            self._place_in_call = _BEHIND_CALL
        else:
            self._outcome = _MALFORMED

    def _begin_call(self) -> None:
        name = _name_of(self._name)
        opens = self._call_follows or self._bracket == OPEN
        if not name or not opens or not self._in_tools:
            self._outcome = _MALFORMED
            return
        self.begin(name)
        self._owed_end = True
        self._begin_whole_tag()

    # Most tags of a call are written as above: they are read with one look. All others are read
    # again, token by token.

    def _begin_whole_tag(self) -> None:
        """A tag follows, behind white space."""
        self._is_whole = True
        self._markers = _TAG_END
        self._patience = MAX_HEAD
        self._place_in_call = _IN_KEY

    def _read_whole_tag(self) -> None:
        self._is_whole = False
        text = self._gathered
        if not self._outcome:
            at = skip_white(text, 0)
            if self._takes_argument(text, at, _OPEN_BEFORE_KEY):
                self._begin_value()
                return
            if len(text) - at == len(_CALL_END) and text.endswith(_CALL_END):
                self._end_call()
                return
            text += SEP
        self._outcome = _FOUND
        self._give_back(text)
        self._place_in_call = _BETWEEN

    def _takes_argument(self, text: str, at: int, before: str) -> bool:
        """Takes key and type of an argument, whose tag goes up to the end of `text` and is written
        as usual from a place on; else false.
        """
        end = quote_end(text, at, before)
        if end < 0:
            return False
        self._is_string = len(text) - end == len(_STRING) and text.endswith(_STRING)  # mostly
        if not self._is_string and quote_end(text, end, _BEFORE_TYPE) != len(text) - 1:
            return False
        self._key = text[at + len(before) : end]
        return True

    def _read_tag(self) -> bool:
        if not self._expect_tag():
            return False
        if self._found is not None:
            self._bracket = self._found
            self._begin_tag(_IN_KEY)
        return True

    def _read_key(self) -> bool:
        """The inside of a tag of an announced call."""
        if not self._gather():
            return False
        self._patience = _NO_LIMIT
        if self._is_whole:
            self._read_whole_tag()
            return True
        head = self._gathered
        if self._outcome:
            self.content(self._bracket + head)
        elif self._is_tag():
            if self._bracket == OPEN and self._read_argument(head):
                self._begin_value()
            elif self._bracket == CLOSE and self._ends_call(stripped(head)):
                self._end_call()
            else:
                self.content(self._bracket + head + SEP)
                self._outcome = _MALFORMED
        return True

    def _ends_call(self, word: str) -> bool:
        """Whether a closing tag is that of the call, or of the tools if the call's is missing."""
        if word == _TOOLS:
            self._in_tools = self._owed_end = False
        return word in (_CALL, _TOOLS)

    def _read_argument(self, head: str) -> bool:
        """The key and the type of an argument; false if the tag is another one."""
        if self._takes_argument(head, 0, _BEFORE_KEY):
            return True
        attributes = _attributes(head, _ARGUMENT, ("key", "type"))
        if attributes is None:
            return False
        self._key = attributes.get("key", "")
        self._is_string = attributes.get("type", "string") == "string"
        return True

    def _begin_value(self) -> None:
        if self._is_string:
            self._write_member(self._key, '"')
            self._begin_string()
            self._place_in_call = _IN_VALUE
        else:
            ParameterCalls._begin_value(self)

    def _read_value(self) -> bool:
        if self._is_string:
            return self._read_string()
        if not self._gather():
            return False
        text = self._gathered
        if self._outcome:
            self._write_member(self._key, stripped(self._whole_with(text)))
            return True
        size = _end_of_value(text)
        if size < 0:
            self._go_on_behind(text + SEP)
            return True
        self._write_member(self._key, json_or_text(self._whole_with(text[:size])))
        self._begin_whole_tag()
        return True

    # A string is not gathered: it is looked at up to what ends it, or may do so.

    def _begin_string(self) -> None:
        self._markers = _STRING_END
        self._sink_kind = _TO_NOBODY if self._muted else _ESCAPED
        self._place_in_string = _IN_STRING

    def _end_string(self) -> None:
        self._write('"')
        self._begin_whole_tag()

    def _read_string(self) -> bool:
        place = self._place_in_string
        if place == _IN_STRING:
            if not self._find():
                return False
            found = self._found
            if self._outcome or found is None:
                return True
            if found == _USUAL_END:
                self._end_string()
                return True
            self._give_back(found[len(CLOSE) :])  # there is white space in the tag
            self._characters = _CLOSING
            self._limit = _NO_LIMIT
            self._run = []
            self._place_in_string = _BEHIND_CLOSE
        elif place == _BEHIND_CLOSE:
            if not self._read_run():
                return False
            if self._outcome:
                self._write(escaped(CLOSE + "".join(self._run)))
            self._options = _SEP
            self._place_in_string = _AT_SEP
        else:
            if not self._expect():
                return False
            word = "".join(self._run)
            if self._found is not None and word.strip(_WHITE) == _ARGUMENT:
                self._end_string()
            else:
                self._write(escaped(CLOSE + word + (self._found or "")))
                self._begin_string()
        return True


def _end_of_value(text: str) -> int:
    """How much of the text before a separator is the value, if its closing tag ends it; else -1."""
    if text.endswith(_VALUE_END):
        return len(text) - len(_VALUE_END)
    text = text.rstrip(_WHITE)
    if text.endswith(_ARGUMENT):
        text = text[: -len(_ARGUMENT)].rstrip(_WHITE)
        if text.endswith(CLOSE):
            return len(text) - len(CLOSE)
    return -1


def _name_of(head: str) -> str:
    """The name in the tag of a call; empty if there is none, or the tag is another one."""
    end = quote_end(head, 0, _BEFORE_NAME)
    if end > 0 and quote_end(head, end, _BEFORE_INDEX) == len(head) - 1:  # mostly
        return head[len(_BEFORE_NAME) : end]
    attributes = _attributes(head, _CALL, ("tool", "index"))
    return attributes.get("tool", "") if attributes else ""


def _attributes(head: str, name: str, known: tuple[str, str]) -> dict[str, str] | None:
    """The attributes of a tag of that name; None if it is another one, or has others."""
    words = head.split(None, 1)
    if words[:1] != [name]:
        return None
    rest = words[1] if len(words) == 2 else ""
    found = dict(_ATTRIBUTE.findall(rest))
    if _ATTRIBUTE.sub("", rest).strip() or not found.keys() <= set(known):
        return None
    return {key: value.replace("&quot;", '"').replace("&amp;", "&") for key, value in found.items()}
