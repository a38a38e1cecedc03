"""`POST /v1/messages`: the Anthropic Messages API, text or one forced tool call.

The stream ends with `message_stop`; there is no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from smg.sim import prompts
from smg.sim.answers import Answer, joined, quoted
from smg.sim.schema import example
from smg.sim.settings import SimSettings
from smg.sim.text import answer_tokens, pieces, seed_of

BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@lru_cache(maxsize=256)
def delta_tails(tokens: tuple[str, ...], kind: bytes, field: bytes) -> tuple[bytes, ...]:
    """One `content_block_delta` event's end per token."""
    start = b'{"type":"%s","%s":' % (kind, field)
    return tuple(start + orjson.dumps(token) + b"}}\n\n" for token in tokens)


class MessageAnswer(Answer):
    """One content block."""

    __slots__ = ("_ident", "_model", "_reason", "_tokens", "_tool")

    def __init__(
        self, data: dict[str, Any], settings: SimSettings, model: str, ident: bytes, created: int
    ) -> None:
        system = prompts.content_text(data.get("system"))
        text = prompts.chat_prompt(data.get("messages"))
        self.prompt = f"{system}\n{text}" if system else text
        self.prompt_tokens = prompts.count_tokens(self.prompt)
        seed = seed_of(self.prompt)
        count, finish = prompts.answer_length(data, settings, "max_tokens")
        self._tool = _wanted_tool(data)
        if self._tool is not None:
            arguments = orjson.dumps(
                example(self._tool.get("input_schema") or {"type": "object"}, seed)
            ).decode()
            self._tokens = pieces(arguments)
            self._reason = b"tool_use"
        else:
            self._tokens = answer_tokens(seed, count)
            self._reason = b"max_tokens" if finish == "length" else b"end_turn"
        self._ident = ident
        self._model = quoted(model)
        self.completion_tokens = len(self._tokens)
        self.width = 1
        self.stream = data.get("stream") is True
        if self.stream:
            self.head = (
                b"event: content_block_delta\n"
                b'data: {"type":"content_block_delta","index":0,"delta":'
            )
            shape = (
                (b"text_delta", b"text")
                if self._tool is None
                else (b"input_json_delta", b"partial_json")
            )
            self.tails = delta_tails(self._tokens, *shape)

    def opening(self, cached: int) -> Sequence[bytes]:
        message = self._message(b"", b"null", 0, cached)
        block = b'{"type":"text","text":""}' if self._tool is None else self._tool_block(b"{}")
        return [
            b'event: message_start\ndata: {"type":"message_start","message":%s}\n\n' % message,
            b"event: content_block_start\n"
            b'data: {"type":"content_block_start","index":0,"content_block":%s}\n\n' % block,
            b'event: ping\ndata: {"type":"ping"}\n\n',
        ]

    def closing(self, cached: int) -> Sequence[bytes]:
        return [
            BLOCK_STOP,
            b"event: message_delta\n"
            b'data: {"type":"message_delta","delta":{"stop_reason":"%s","stop_sequence":null},'
            b'"usage":{"output_tokens":%d}}\n\n' % (self._reason, self.completion_tokens),
            MESSAGE_STOP,
        ]

    def body(self, cached: int) -> bytes:
        if self._tool is None:
            block = b'{"type":"text","text":%s}' % joined(self._tokens)
        else:
            block = self._tool_block("".join(self._tokens).encode())
        return self._message(block, b'"%s"' % self._reason, self.completion_tokens, cached)

    def _tool_block(self, arguments: bytes) -> bytes:
        assert self._tool is not None
        name = quoted(str(self._tool.get("name")))
        return b'{"type":"tool_use","id":"toolu_%s","name":%s,"input":%s}' % (
            self._ident,
            name,
            arguments,
        )

    def _message(self, content: bytes, reason: bytes, output: int, cached: int) -> bytes:
        return (
            b'{"id":"msg_%s","type":"message","role":"assistant","model":%s,"content":[%s],"stop_reason":%s,'
            b'"stop_sequence":null,"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,'
            b'"cache_read_input_tokens":%d,"output_tokens":%d}}'
            # Anthropic's input_tokens leaves out what came from the cache.
            % (
                self._ident,
                self._model,
                content,
                reason,
                self.prompt_tokens - cached,
                cached,
                output,
            )
        )


def _wanted_tool(data: dict[str, Any]) -> dict[str, Any] | None:
    choice = data.get("tool_choice")
    if not isinstance(choice, dict):
        return None
    kind = choice.get("type")
    tools = [tool for tool in data.get("tools") or () if isinstance(tool, dict)]
    if kind == "tool":
        tools = [tool for tool in tools if tool.get("name") == choice.get("name")]
    elif kind != "any":
        return None
    if not tools:
        raise prompts.reject("tool_choice needs a matching tool", "tool_choice")
    return tools[0]
