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

from smg.parsers.coercion import json_or_text
from smg.parsers.engine import EndOfText, MalformedText, Sink, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.base import ToolContext
from smg.parsers.tool_calls.members import MemberCalls

OPEN, CLOSE, SEP = "<|open|>", "<|close|>", "<|sep|>"
#: channels whose tags are never shown, and what a tag of one has in it
CHANNELS = ("response", "message")
SHOWN = [[name] for name in CHANNELS]

HEAD = re.compile(r"[^<]*")
MAX_HEAD = 1024  # characters between the tokens of a tag
_ATTRIBUTE = re.compile(r'([\w-]+)\s*=\s*"([^"]*)"')
_TOOLS = ["tools"]
_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE_END = Markers((CLOSE,))


class KimiK3(MemberCalls):
    """Undeclared names are calls too. Strings are given as they come, other values at their end."""

    starts = (OPEN, CLOSE)
    typed = False

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._in_tools = False
        self._owed_end = False  # of the tools: a call in them has been read

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        words = (yield from self._head()).split(None, 1)
        if words in SHOWN:
            self.drop()
            return marker == CLOSE and self._calls > 0
        if words == _TOOLS and marker == OPEN:
            self._in_tools = True
            self._owed_end = False
            yield from self.space()
            if (yield from self.skip(OPEN)) is None:
                raise MalformedText
            words = (yield from self._head()).split(None, 1)
        elif words == _TOOLS and self._owed_end:
            self._in_tools = self._owed_end = False
            self.drop()
            return True
        elif marker == CLOSE:
            raise MalformedText
        attributes = _attributes(words, "call", ("tool", "index"))
        if not attributes or not attributes.get("tool") or not self._in_tools:
            raise MalformedText
        self.begin(attributes["tool"])
        self._owed_end = True
        yield from self._arguments()
        return True

    def _head(self) -> Steps[str]:
        """What stands between two tokens of a tag, from behind the first to behind the second."""
        head = yield from self.run_of(HEAD, MAX_HEAD)
        if (yield from self.skip(SEP)) is None:
            raise MalformedText
        return head

    def _arguments(self) -> Steps[None]:
        """The arguments of a call that is announced, and its closing tag."""
        while True:
            yield from self.space()
            self.hold()
            marker = yield from self.skip(OPEN, CLOSE)
            words = [] if marker is None else (yield from self._head()).split(None, 1)
            if marker == CLOSE and words in (["call"], _TOOLS):
                self.drop()
                self.end()
                if words == _TOOLS:  # the call's own end is missing
                    self._in_tools = self._owed_end = False
                return
            attributes = _attributes(words, "argument", ("key", "type"))
            if attributes is None or marker == CLOSE:
                raise MalformedText
            self.drop()
            self.key(attributes.get("key", ""))
            if attributes.get("type", "string") == "string":
                self.arguments('"')
                yield from self._value(self.escaped_arguments)
                self.arguments('"')
                continue
            pieces: list[str] = []
            try:
                yield from self._value(pieces)
            except EndOfText:
                self.arguments("".join(pieces).strip())
                raise
            raw = "".join(pieces)
            self.arguments(json_or_text(raw))

    def _value(self, sink: Sink) -> Steps[None]:
        """A value into `sink`, with its closing tag. Other tags in it are text."""
        give = sink.append if isinstance(sink, list) else sink
        while True:
            yield from self.until(_VALUE_END, sink)
            tag = [self.take(len(CLOSE))]
            try:
                for part in ("argument", SEP):
                    tag.append((yield from self.run_of(_SPACE, sys.maxsize - 1)))
                    tag.append((yield from self.skip(part)) or "")
                    if not tag[-1]:
                        break
                else:
                    return
            except EndOfText:
                give("".join(tag))
                raise
            give("".join(tag))


def _attributes(words: list[str], name: str, known: tuple[str, str]) -> dict[str, str] | None:
    """The attributes of a tag of that name; None if it is another one, or has others."""
    if words[:1] != [name]:
        return None
    rest = words[1] if len(words) == 2 else ""
    found = dict(_ATTRIBUTE.findall(rest))
    if _ATTRIBUTE.sub("", rest).strip() or not found.keys() <= set(known):
        return None
    return {key: value.replace("&quot;", '"').replace("&amp;", "&") for key, value in found.items()}
