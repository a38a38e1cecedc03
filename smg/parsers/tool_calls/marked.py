"""Sections of calls in markers, each a name and the JSON of its arguments.

`deepseek` (V3), `deepseek31` and `kimik2` differ in how a call's head is written:

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>lookup
    ```json
    {"id": 7}
    ```<｜tool▁call▁end｜><｜tool▁calls▁end｜>
    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>lookup<｜tool▁sep｜>{"id": 7}<｜tool▁call▁end｜>...
    <|tool_calls_section_begin|><|tool_call_begin|>functions.lookup:0<|tool_call_argument_begin|>
    {"id": 7}<|tool_call_end|><|tool_calls_section_end|>
"""

from __future__ import annotations

import re
from abc import abstractmethod

from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.sections import SectionParser

_MAX_NAME = 256
_NAME = re.compile(r"[^<\n]*")
_KIMI_NAME = re.compile(r"[\w.:-]*", re.ASCII)
_KIMI_HEAD = re.compile(r"([\w.-]+):\d+", re.ASCII)


class MarkedCalls(SectionParser):
    """A head with the name, then the arguments."""

    @abstractmethod
    def head(self) -> Steps[str]:
        """Reads what stands before the arguments; gives the name."""

    def call(self) -> Steps[None]:
        """Announces the call and reads its arguments; what is no object is wrapped in one."""
        name = yield from self.head()
        if not self.tools.accepts(name):
            raise MalformedText
        wrap = (yield from self.space()) != "{"
        if wrap and (yield from self.peek()) not in '["-0123456789tfn':
            raise MalformedText
        self.begin(name)
        self.owed = set(self.closers)
        if wrap:
            self.arguments('{"value":')
        yield from self.json_value(self.arguments)
        if wrap:
            self.arguments("}")


class DeepSeek31(MarkedCalls):
    """The name, a separator, the arguments as they are."""

    starts = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>")
    closers = ("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<｜end▁of▁sentence｜>")
    call_begin = "<｜tool▁call▁begin｜>"
    section_end = "<｜tool▁calls▁end｜>"

    def head(self) -> Steps[str]:
        name = yield from self.run_of(_NAME, _MAX_NAME)
        if (yield from self.skip("<｜tool▁sep｜>")) is None:
            raise MalformedText
        return name.strip()


class DeepSeek(DeepSeek31):
    """The word `function`, the name on the same line, the arguments in a fence."""

    def head(self) -> Steps[str]:
        if (yield from super().head()) != "function":
            raise MalformedText
        name = yield from self.run_of(_NAME, _MAX_NAME)
        yield from self.space()
        if (yield from self.skip("```json")) is None:
            raise MalformedText
        return name.strip()

    def call(self) -> Steps[None]:
        yield from super().call()
        self.hold()
        try:
            yield from self.space()
        except EndOfText:
            self.drop()
            raise
        if (yield from self.skip("```")) is not None:
            self.drop()


class KimiK2(MarkedCalls):
    """The name in an id that counts the calls of the conversation. Arguments must be an object."""

    starts = ("<|tool_calls_section_begin|>", "<|tool_call_begin|>")
    closers = ("<|tool_call_end|>", "<|tool_calls_section_end|>")
    call_begin = "<|tool_call_begin|>"
    section_end = "<|tool_calls_section_end|>"

    def head(self) -> Steps[str]:
        yield from self.space()
        head = yield from self.run_of(_KIMI_NAME, _MAX_NAME)
        found = _KIMI_HEAD.fullmatch(head.removeprefix("functions."))
        yield from self.space()
        if found is None or (yield from self.skip("<|tool_call_argument_begin|>")) is None:
            raise MalformedText
        if (yield from self.space()) != "{":
            raise MalformedText
        return found[1]
