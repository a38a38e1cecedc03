"""Calls written as JSON objects, `{"name": ..., "arguments": {...}}`, alone or in an array.

Formats differ in what stands around the objects and in the keys; their modules say that. The name
is announced as soon as it is complete and declared, the arguments follow as they arrive. Arguments
that come before the name wait for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import ClassVar

from smg.parsers.coercion import json_text
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser

Sink = Callable[[str], object]

_SEPARATORS = re.compile(r"[ \t\r\n,;]*")


class JsonCalls(BlockParser):
    """Reads values wherever `starts` leads. Markers that are brackets are part of the value."""

    name_keys: ClassVar[tuple[str, ...]] = ("name", "tool_name")
    argument_keys: ClassVar[tuple[str, ...]] = ("arguments", "parameters")

    def block(self, marker: str) -> Steps[bool]:
        if marker not in ("{", "["):
            self.take(len(marker))
        return (yield from self.values())

    def values(self) -> Steps[bool]:
        """JSON values one after the other, from held text on. Values that are no calls are
        content, and so is what separates them from the next.
        """
        in_array = array_has_call = False
        after_call = rejected = False
        while True:
            self.hold()
            try:
                character = yield from self.space(_SEPARATORS)
            except EndOfText:
                if after_call:
                    self.drop()
                raise
            if rejected:
                self.release()
            rejected = False
            if character == "{":
                self.hold()
                after_call = yield from self._object()
                array_has_call = array_has_call or after_call
                rejected = not after_call
            elif character == "[" and not in_array:
                self.hold()
                self.take(1)
                if (yield from self.space()) != "{":
                    raise MalformedText
                in_array = True
                array_has_call = False
            elif character == "]" and in_array:
                self.hold()
                self.take(1)
                if array_has_call:
                    self.drop()
                else:
                    self.release()
                in_array = False
                after_call = array_has_call
            else:
                return after_call

    def _object(self) -> Steps[bool]:
        """One object: a call, or content. Text is held, the cursor is at the brace."""
        announced = done = False
        early: list[str] = []  # arguments that came before the name
        self.take(1)
        try:
            while True:
                character = yield from self.space(_SEPARATORS)
                if character == "}":
                    self.take(1)
                    break
                key = yield from self.string()
                if (yield from self.space()) != ":":
                    raise MalformedText
                self.take(1)
                character = yield from self.space()
                if key in self.name_keys and not announced and character == '"':
                    name = yield from self.string()
                    if not self.tools.accepts(name):
                        self.release()
                        yield from self.json_as_content(1)
                        return False
                    self.begin(name)
                    self.owed = set(self.closers)
                    announced = True
                    for piece in early:
                        self.arguments(piece)
                elif key in self.argument_keys and not done:
                    done = True
                    yield from self.call_arguments(self.arguments if announced else early.append)
                else:
                    yield from self.json_value(_nowhere)
        except EndOfText:
            if not announced:
                self.release()
            raise
        if not announced:
            self.release()
            return False
        if not done:
            self.arguments("{}")
        return True

    def string(self) -> Steps[str]:
        """A JSON string, decoded."""
        pieces: list[str] = []
        if (yield from self.peek()) != '"':
            raise MalformedText
        yield from self.json_value(pieces.append)
        text: str = json.loads("".join(pieces))
        return text

    def call_arguments(self, sink: Sink) -> Steps[None]:
        """The value of the arguments: an object as it arrives. An object written into a string is
        taken out of it; nothing, an empty string and null are the empty object.
        """
        if (yield from self.peek()) in ("{", "["):
            yield from self.json_value(sink)
            return
        pieces: list[str] = []
        try:
            yield from self.json_value(pieces.append)
        except EndOfText:
            for piece in pieces:
                sink(piece)
            raise
        text = "".join(pieces)
        if text == "null":
            text = "{}"
        elif text.startswith('"'):
            text = _unwrapped(text)
        sink(text)


def _unwrapped(text: str) -> str:
    """Of a JSON string: the object that is written in it, else the string itself."""
    inner: str = json.loads(text)
    if not inner.strip():
        return "{}"
    value = json_text(inner)
    return value if value is not None and value.startswith("{") else text


def _nowhere(text: str) -> None:
    """Members that mean nothing to us."""
