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

from smg._speedups.text_scan import MAX_DEPTH
from smg.parsers.coercion import infer_json, quoted
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.members import MemberCalls
from smg.parsers.tool_calls.parameters import MAX_NAME
from smg.parsers.tool_calls.sections import SectionParser

_MARK = "]<]minimax[>["
_INVOKE = _MARK + '<invoke name="'
_NAME = re.compile(r'[^<>"\n]*')
_TAG = re.compile(r"[^<>\n]*")
_FOLLOWING = re.compile(r'invoke name="([^"]+)"')
_CALL_ENDS = ("/invoke", "/tool_call")
_TAG_BEGINS = Markers((_MARK + "<",))


class MiniMaxM3(MemberCalls, SectionParser):
    """A parameter is given when its element closes. Undeclared names are calls too."""

    starts = (_MARK + "<tool_call>", _INVOKE)
    closers = (_MARK + "</tool_call>",)
    call_begin = _INVOKE
    section_end = closers[0]

    def call(self) -> Steps[bool]:
        name = (yield from self.run_of(_NAME, MAX_NAME)).strip()
        if (yield from self.skip('">')) is None or not name:
            raise MalformedText
        self.begin(name)
        while True:
            yield from self.space()
            self.hold()
            if (yield from self.skip(*_TAG_BEGINS.texts)) is None:
                raise MalformedText
            tag = yield from self._tag()
            following = None if tag is None else _FOLLOWING.fullmatch(tag)
            if tag is not None and tag[:1] != "/" and following is None:
                self.drop()
                tag = yield from self._parameter(tag)
                if tag is None:
                    continue
            if following is not None:
                self.drop()
                self.end()
                self.begin(following[1])
                continue
            if tag not in _CALL_ENDS:
                raise MalformedText
            self.drop()
            self.end()
            if tag == "/tool_call":  # the call's own end is missing
                self.closed_by(self.section_end)
            return True

    def _tag(self) -> Steps[str | None]:
        """The inside of a tag, from behind its bracket on; None if it has no end."""
        tag = yield from self.run_of(_TAG, MAX_NAME)
        return tag.strip() if (yield from self.skip(">")) else None

    def _parameter(self, key: str) -> Steps[str | None]:
        """A parameter, from inside its element to behind it; gives the tag that ends the call, if
        that ended the parameter too.
        """
        elements = [_Element(key)]
        mixed = False
        raw: list[str] = []
        while elements:
            here = elements[-1]
            before = len(raw)
            try:
                marker = yield from self.until(_TAG_BEGINS, raw)
                here.text += raw[before:]
                self.hold()
                self.take(len(marker))
                tag = yield from self._tag()
            except MalformedText:
                tag = None
            except EndOfText:
                self.drop()
                self._cut(key, "".join(raw))
                raise
            held = self.held()
            raw.append(held)
            if tag is not None and tag[:1] != "/" and len(elements) < MAX_DEPTH:
                elements.append(_Element(tag))
                continue
            ended = tag if tag in _CALL_ENDS else None
            if ended is None and tag != f"/{here.name}":
                here.text.append(held)
                continue
            while len(elements) > 1:
                here = elements.pop()
                mixed = mixed or here.is_mixed()
                elements[-1].add(here.name, here.value() or infer_json(here.raw()))
                if ended is None:
                    break
            else:
                here = elements.pop()
        declared = self._types.get(key)
        if mixed or here.is_mixed() or declared == "string":
            value = self.value(key, "".join(raw[:-1]))  # all but the closing tag
        else:
            value = here.value(declared == "array") or self.value(key, here.raw())
        self.key(key)
        self.arguments(value)
        return ended


class _Element:
    """An element that is being read."""

    __slots__ = ("members", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.members: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """An element in it: JSON."""
        self.members.setdefault(name, []).append(value)

    def raw(self) -> str:
        """The text in it."""
        return "".join(self.text)

    def is_mixed(self) -> bool:
        """Whether it has elements and text side by side: then it is no object."""
        return bool(self.members) and any(map(str.strip, self.text))

    def value(self, is_array: bool = False) -> str | None:
        """The elements in it as JSON: an object, in which a name that is repeated has an array.
        `is_array`: the schema says so, and the names do not count. None if there are none.
        """
        if not self.members:
            return None
        if is_array and len(self.members) == 1:
            (items,) = self.members.values()
            return _array(items)
        members = [
            f"{quoted(name)}:{items[0] if len(items) == 1 else _array(items)}"
            for name, items in self.members.items()
        ]
        return "{" + ",".join(members) + "}"


def _array(items: list[str]) -> str:
    return "[" + ",".join(items) + "]"
