"""Calls written as JSON objects, `{"name": ..., "arguments": {...}}`, alone or in an array.

Formats differ in what stands around the objects and in the keys; their modules say that. The name
is announced as soon as it is complete and declared, the arguments follow as they arrive. Arguments
that come before the name wait for it.
"""

from __future__ import annotations

import json

from smg.parsers.coercion import json_text
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, Rest

_SEPARATORS = ",;"
_NAME_KEYS: tuple[str, ...] = ("name", "tool_name")
_ARGUMENT_KEYS: tuple[str, ...] = ("arguments", "parameters")


class JsonCalls(BlockParser):
    """Reads values wherever `starts` leads. Markers that are brackets are part of the value."""

    name_keys = _NAME_KEYS
    argument_keys = _ARGUMENT_KEYS
    #: an object that is no call is content
    shows_others = True

    def block(self, marker: str) -> Steps[Rest]:
        if marker not in ("{", "["):
            self.take(len(marker))
        return self.values()

    def values(self) -> Steps[bool]:
        """JSON values one after the other, from held text on. Values that are no calls are
        content, and so is what separates them from the next.
        """
        in_array = array_has_call = False
        after_call = rejected = False
        while True:
            self.hold()
            try:
                if not self.try_space(_SEPARATORS):
                    yield
                character = self.character()
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
                if not self.try_space(_SEPARATORS):
                    yield
                character = self.character()
                if character == "}":
                    self.take(1)
                    break
                if character != '"':
                    raise MalformedText
                pieces: list[str] = []
                if not self.try_json(pieces):
                    yield
                self.found()
                key = _decoded(pieces)
                if not self.try_space():
                    yield
                if self.character() != ":":
                    raise MalformedText
                self.take(1)
                if not self.try_space():
                    yield
                character = self.character()
                if key in self.name_keys and not announced and character == '"':
                    pieces = []
                    if not self.try_json(pieces):
                        yield
                    self.found()
                    name = _decoded(pieces)
                    if not self.tools.accepts(name):
                        self._refuse()
                        yield from self._rest()
                        return False
                    self.begin(name)
                    self.owed = self.closers
                    announced = True
                    for piece in early:
                        self.arguments(piece)
                elif key in self.argument_keys and not done:
                    done = True
                    if character in "{[":
                        if not (self.try_arguments() if announced else self.try_json(early)):
                            yield
                        self.found()
                    else:
                        text = yield from self._odd_arguments(announced)
                        if announced:
                            self.arguments(text)
                        else:
                            early.append(text)
                else:
                    yield from self.json_value(_nowhere)
        except EndOfText:
            if not announced:
                self._refuse()
            raise
        if not announced:
            self._refuse()
            return False
        if not done:
            self.arguments("{}")
        return True

    def _odd_arguments(self, announced: bool) -> Steps[str]:
        """Arguments that are no object. One that is written into a string is taken out of it;
        null and an empty string are the empty object. `announced`: what is cut is given.
        """
        pieces: list[str] = []
        try:
            yield from self.json_value(pieces)
        except EndOfText:
            if announced:
                self.arguments("".join(pieces))
            raise
        text = "".join(pieces)
        if text == "null":
            text = "{}"
        elif text.startswith('"'):
            text = _unwrapped(text)
        return text

    def _refuse(self) -> None:
        """What is held is no call."""
        if self.shows_others:
            self.release()
        else:
            self.drop()

    def _rest(self) -> Steps[None]:
        """The rest of an object that is no call: as it is written."""
        try:
            yield from self.json_value(self._other, 1, raw=True)
        except MalformedText:
            return  # what comes now is text

    def _other(self, text: str) -> None:
        """Text of an object that is no call."""
        if self.shows_others:
            self.content(text)


def _decoded(pieces: list[str]) -> str:
    """A JSON string that came in pieces."""
    text = "".join(pieces)
    if "\\" not in text:
        return text[1:-1]
    decoded: str = json.loads(text)
    return decoded


def _unwrapped(text: str) -> str:
    """Of a JSON string: the object that is written in it, else the string itself."""
    inner: str = json.loads(text)
    if not inner.strip():
        return "{}"
    value = json_text(inner)
    return value if value is not None and value.startswith("{") else text


def _nowhere(text: str) -> None:
    """Members that mean nothing to us."""
