"""`minimax_m3`: elements named after the parameters, nested for objects; a mark before every tag.

]<]minimax[>[<tool_call>
]<]minimax[>[<invoke name="lookup">
]<]minimax[>[<id>7]<]minimax[>[</id>
]<]minimax[>[<opts>]<]minimax[>[<deep>true]<]minimax[>[</deep>]<]minimax[>[</opts>
]<]minimax[>[</invoke>
]<]minimax[>[</tool_call>
"""

from __future__ import annotations

import re

from smg._speedups.text_scan import Markers
from smg._speedups.text_values import stripped
from smg.parsers.tool_calls.elements import Elements
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls, Tags

_MARK = "]<]minimax[>["
_TAG = _MARK + "<"
_INVOKE = _MARK + '<invoke name="'
_SECTION_END = _MARK + "</tool_call>"
_MAX_NAME = MAX_NAME  # as a C number
_TAG_ENDS = Markers((">", "<", "\n"))
_FOLLOWING = re.compile(r'invoke name="([^"]+)"')

_INVOKE_END, _END = "/invoke", "/tool_call"

# As in the engine and in parameters.py.
_MALFORMED = 2
_BETWEEN = 4
_IN_KEY = 6

# Where a parser stands in a value.
_IN_TEXT = 0
_IN_TAG = 1


class MiniMaxM3(ParameterCalls):
    """A parameter is given when its element closes. Undeclared names are calls too."""

    starts = (_MARK + "<tool_call>", _INVOKE)
    closers = (_SECTION_END,)
    call_begin = _INVOKE
    section_end = _SECTION_END
    tags = Tags((), '">', _TAG, ">", _TAG, _TAG)  # which tag it is, its name says

    def _reset(self) -> None:
        ParameterCalls._reset(self)
        self._place_in_value = _IN_TEXT
        self._before_tag = ""  # the text in front of a tag
        self._elements: Elements | None = None  # if there has been another tag in the value

    def accepts(self, name: str) -> bool:
        return bool(name)

    def _read_tag(self) -> bool:
        if not self._expect_tag():
            return False
        self._markers = _TAG_ENDS
        self._place_in_call = _IN_KEY
        return True

    def _read_key(self) -> bool:
        if not self._gather():
            return False
        if self._outcome:
            self.content(_TAG + self._gathered)
            return True
        tag = self._tag()
        if tag is None:
            self.content(_TAG + self._gathered)
            self._outcome = _MALFORMED
        elif tag and tag[0] == "/":
            if _ends_call(tag):
                self._end_by(tag)
            else:
                self.content(f"{_TAG}{self._gathered}>")
                self._outcome = _MALFORMED
        else:
            following = _FOLLOWING.fullmatch(tag) if tag.startswith("invoke ") else None
            if following is None:
                self._key = tag
                self._begin_value()
            else:
                self.end()
                self.begin(following[1])
                self._place_in_call = _BETWEEN
        return True

    def _tag(self) -> str | None:
        """The inside of the tag that has been gathered. None if it is none: then what has been
        gathered is text, and what stands behind it is read again.
        """
        tag = self._gathered
        found = self._found
        assert found is not None
        limit = _MAX_NAME + 1 if tag and tag[0] == "/" else _MAX_NAME
        if found == ">" and len(tag) <= limit:
            return stripped(tag)
        self._gathered = tag[: _MAX_NAME + 1]
        self._give_back(tag[_MAX_NAME + 1 :] + found)
        return None

    def _end_by(self, tag: str) -> None:
        """The call is over; if another tag than its own says so, more than that."""
        self._end_call()
        if tag == _END:
            self.closed_by(self.section_end)

    def _begin_value(self) -> None:
        ParameterCalls._begin_value(self)
        self._elements = None
        self._place_in_value = _IN_TEXT

    def _read_value(self) -> bool:
        if not self._gather():
            return False
        if self._place_in_value == _IN_TEXT:
            self._before_tag = self._gathered
            self._markers = _TAG_ENDS
            self._place_in_value = _IN_TAG
            if self._outcome:
                self._cut(self._key, self._with_elements(self._before_tag))
            return True
        if self._outcome:
            # Half a tag is no part of the value.
            long = len(self._gathered) > _MAX_NAME
            text = self._before_tag + _TAG + self._gathered if long else self._before_tag
            self._cut(self._key, self._with_elements(text))
            return True
        tag = self._tag()
        if self._elements is None and tag is not None and _closes(tag, self._key):  # mostly
            self._write_member(self._key, self.value(self._key, self._before_tag))
            self._place_in_call = _BETWEEN
        else:
            self._pass_tag(tag, f"{_TAG}{self._gathered}{'' if tag is None else '>'}")
        return True

    def _with_elements(self, text: str) -> str:
        """All that has been in the value, and text behind it."""
        return text if self._elements is None else self._elements.raw() + text

    def _pass_tag(self, tag: str | None, written: str) -> None:
        """A tag in a value, or text that is none."""
        assert self._tags is not None
        elements = self._elements
        if elements is None:
            elements = self._elements = Elements(self._key)
        elements.add_text(self._before_tag)
        if tag is None:
            elements.add_text(written)
        elif _ends_call(tag):
            elements.end_all()
            self._write_elements(elements)
            self._end_by(tag)
            return
        elif _closes(tag, elements.name()):
            if elements.end(written):
                self._write_elements(elements)
                self._place_in_call = _BETWEEN
                return
        elif tag[:1] == "/" or not elements.begin(tag, written):
            elements.add_text(written)
        self._markers = self._tags.value_end
        self._place_in_value = _IN_TEXT

    def _write_elements(self, elements: Elements) -> None:
        declared = self._types.get(self._key)
        value = None if declared == "string" else elements.value(declared == "array")
        self._write_member(self._key, value or self.value(self._key, elements.raw()))


def _ends_call(tag: str) -> bool:
    """Whether a call is over; so elements with these names cannot be closed."""
    size = len(tag)
    return (size == len(_INVOKE_END) and tag == _INVOKE_END) or (size == len(_END) and tag == _END)


def _closes(tag: str, name: str) -> bool:
    """Whether the tag closes an element of that name."""
    if len(tag) != len(name) + 1 or tag[0] != "/" or not tag.endswith(name):
        return False
    return not _ends_call(tag)
