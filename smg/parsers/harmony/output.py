"""From the token ids of gpt-oss to deltas: what `parsers` do with text, here with tokens.

Calls are messages to `functions.NAME`, on whatever channel; thoughts are those on `analysis` and
`commentary`, and what the model tells tools of its own (Python, the browser); the rest is content.
Messages of thoughts are joined by line breaks.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from smg.parsers.base import CallArguments, CallStart, Content, Delta, Parsed, Reasoning, joined
from smg.parsers.harmony.encoding import load
from smg.parsers.tool_calls.base import ToolContext

if TYPE_CHECKING:
    from openai_harmony import HarmonyEncoding

log = logging.getLogger(__name__)

_utf8 = codecs.getincrementaldecoder("utf-8")
_FUNCTIONS = "functions."
_OWN_TOOLS = ("python", "browser", "container")

# Kinds of messages.
_NONE, _CONTENT, _REASONING, _CALL, _NOBODY = range(5)


class HarmonyParser:
    """One per choice of a request. `reasoning_tokens`: tokens of thoughts so far, with those that
    begin and end them.
    """

    def __init__(self, context: ToolContext, encoding: HarmonyEncoding | None = None) -> None:
        from openai_harmony import Role, StreamableParser

        self._encoding = load() if encoding is None else encoding
        self._inner = StreamableParser(self._encoding, Role.ASSISTANT)
        (self._begins,) = self._encoding.encode("<|message|>", allowed_special="all")
        self._make_id = context.make_id
        self._parallel = context.parallel
        self._kind = _NONE
        self._calls = 0
        self._called = False  # the call that is read has arguments
        self._thoughts = 0  # messages of them
        self._out: list[Delta] = []
        self._plain = _utf8("replace")  # of a broken answer: a character may be several tokens
        self.reasoning_tokens = 0
        #: the tokens were no Harmony; everything since is content
        self.broken = False

    def feed(self, ids: Iterable[int]) -> list[Delta]:
        """Takes the next ids; gives what is certain by now."""
        for token in ids:
            self._process(token)
        return self._taken()

    def finish(self) -> list[Delta]:
        """No ids will follow: gives what was kept back. A message that is not over counts."""
        if self.broken:
            self._plain_bytes(b"", final=True)
        else:
            try:
                self._inner.process_eos()
            except RuntimeError:  # in the middle of a head: nothing of it was text
                pass
            else:
                self._text(self._inner.last_content_delta)
        self._end()
        return self._taken()

    def parse(self, ids: Iterable[int]) -> Parsed:
        """All ids at once, by the same way. For a parser that was not fed before."""
        return joined(self.feed(ids) + self.finish())

    def _process(self, token: int) -> None:
        if self.broken:
            self._plain_token(token)
            return
        try:
            self._inner.process(token)
        except RuntimeError as error:  # HarmonyError
            self.broken = True
            self._end()
            log.warning("an answer is no Harmony, its tokens are passed on: %s", error)
            self._plain_token(token)
            return
        if self._kind == _NONE:
            if token == self._begins:
                self._begin()
            return
        if self._inner.current_role is None:  # the message is over
            self._end()
            return
        if self._kind == _REASONING:
            self.reasoning_tokens += 1
        self._text(self._inner.last_content_delta)

    def _plain_token(self, token: int) -> None:
        """A token that no message explains."""
        text = self._encoding.decode([token], errors="surrogateescape")
        self._plain_bytes(text.encode("utf-8", "surrogateescape"), final=False)

    def _plain_bytes(self, raw: bytes, *, final: bool) -> None:
        text = self._plain.decode(raw, final)
        if text:
            self._give(Content(text))

    def _begin(self) -> None:
        """A message begins: its head says what it is."""
        inner = self._inner
        role, channel, recipient = (
            inner.current_role,
            inner.current_channel,
            inner.current_recipient,
        )
        recipient = recipient or ""
        if role is None or role.value != "assistant":
            self._kind = _NOBODY
        elif recipient.startswith(_FUNCTIONS) and len(recipient) > len(_FUNCTIONS):
            self._kind = _CALL if self._parallel or not self._calls else _NOBODY
            if self._kind == _CALL:
                name = recipient.removeprefix(_FUNCTIONS)
                self._give(CallStart(self._calls, self._make_id(self._calls, name), name))
                self._calls += 1
                self._called = False
        elif recipient.startswith(_OWN_TOOLS) or channel in ("analysis", "commentary"):
            self._kind = _REASONING
            self._thoughts += 1
            if self._thoughts > 1:
                self._give(Reasoning("\n"))
        else:
            self._kind = _CONTENT

    def _text(self, text: str | None) -> None:
        if not text:
            return
        if self._kind == _CONTENT:
            self._give(Content(text))
        elif self._kind == _REASONING:
            self._give(Reasoning(text))
        elif self._kind == _CALL:
            self._called = True
            self._give(CallArguments(self._calls - 1, text))

    def _end(self) -> None:
        """The message is over."""
        if self._kind == _CALL and not self._called:
            self._give(CallArguments(self._calls - 1, "{}"))
        self._kind = _NONE

    def _give(self, delta: Delta) -> None:
        """Adds to the last delta, if it is of the same kind."""
        # Between the arguments of two calls stands the start of one, so their index is the same.
        last = self._out[-1] if self._out else None
        if last is None or type(last) is not type(delta):
            self._out.append(delta)
        elif not isinstance(last, CallStart) and not isinstance(delta, CallStart):
            last.text += delta.text

    def _taken(self) -> list[Delta]:
        out = self._out
        self._out = []
        return out
