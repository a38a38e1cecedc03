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

from smg._speedups.text_scan import Characters
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.sections import SectionParser

_MAX_NAME = 256
_NAME = Characters(but="<\n")
_SEPARATOR = ("<｜tool▁sep｜>",)
_FENCE = ("```json",)
_KIMI_HEAD = re.compile(r"([\w.-]+):\d+", re.ASCII)
_KIMI_NAME = Characters(of="".join(filter(re.compile(r"[\w.:-]").match, map(chr, range(128)))))
_KIMI_SEPARATOR = ("<|tool_call_argument_begin|>",)


class MarkedCalls(SectionParser):
    """A head with the name, then the arguments."""

    def head(self) -> Steps[str]:
        """Reads what stands before the arguments; gives the name."""
        raise NotImplementedError

    def call(self) -> Steps[bool]:
        """Announces the call and reads its arguments; what is no object is wrapped in one."""
        name = yield from self.head()
        if not self.tools.accepts(name):
            raise MalformedText
        if not self.try_space():
            yield
        character = self.character()
        wrap = character != "{"
        if wrap and character not in '["-0123456789tfn':
            raise MalformedText
        self.begin(name)
        self.owed = self.closers
        if wrap:
            self.arguments('{"value":')
        if not self.try_arguments():
            yield
        self.found()
        if wrap:
            self.arguments("}")
        return True

    def separated_head(self) -> Steps[str]:
        """A word and the separator; gives the word."""
        if not self.try_run_of(_NAME, _MAX_NAME):
            yield
        word = self.matched().strip()
        if not self.try_ahead(_SEPARATOR):
            yield
        if self.skipped() is None:
            raise MalformedText
        return word

    def fenced_head(self) -> Steps[str]:
        """The word `function`, the separator, a name on the same line, and how a fence begins."""
        if (yield from self.separated_head()) != "function":
            raise MalformedText
        if not self.try_run_of(_NAME, _MAX_NAME):
            yield
        name = self.matched().strip()
        if not self.try_space():
            yield
        self.found()
        if not self.try_ahead(_FENCE):
            yield
        if self.skipped() is None:
            raise MalformedText
        return name

    def counted_head(self) -> Steps[str]:
        """A name in an id that counts the calls, a separator, and that an object follows."""
        if not self.try_space():
            yield
        self.found()
        if not self.try_run_of(_KIMI_NAME, _MAX_NAME):
            yield
        found = _KIMI_HEAD.fullmatch(self.matched().removeprefix("functions."))
        if not self.try_space():
            yield
        self.found()
        if found is None:
            raise MalformedText
        if not self.try_ahead(_KIMI_SEPARATOR):
            yield
        if self.skipped() is None:
            raise MalformedText
        if not self.try_space():
            yield
        if self.character() != "{":
            raise MalformedText
        return found[1]


class DeepSeek31(MarkedCalls):
    """The name, a separator, the arguments as they are."""

    starts = ("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>")
    closers = ("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<｜end▁of▁sentence｜>")
    call_begin = "<｜tool▁call▁begin｜>"
    section_end = "<｜tool▁calls▁end｜>"

    def head(self) -> Steps[str]:
        return self.separated_head()


class DeepSeek(DeepSeek31):
    """The word `function`, the name on the same line, the arguments in a fence."""

    def head(self) -> Steps[str]:
        return self.fenced_head()

    def call(self) -> Steps[bool]:
        yield from super().call()
        self.hold()
        try:
            yield from self.space()
        except EndOfText:
            self.drop()
            raise
        if (yield from self.skip("```")) is not None:
            self.drop()
        return True


class KimiK2(MarkedCalls):
    """The name in an id that counts the calls of the conversation. Arguments must be an object."""

    starts = ("<|tool_calls_section_begin|>", "<|tool_call_begin|>")
    closers = ("<|tool_call_end|>", "<|tool_calls_section_end|>")
    call_begin = "<|tool_call_begin|>"
    section_end = "<|tool_calls_section_end|>"

    def head(self) -> Steps[str]:
        return self.counted_head()
