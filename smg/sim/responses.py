"""`POST /v1/responses`: the text item of the Responses API, whole or as events.

Nothing is stored: `previous_response_id` is accepted and echoed only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from smg.sim import prompts
from smg.sim.answers import DONE, Answer, joined, quoted
from smg.sim.settings import SimSettings
from smg.sim.text import answer_tokens, seed_of

# response.created, response.in_progress, response.output_item.added, response.content_part.added
OPENING_EVENTS = 4


@lru_cache(maxsize=256)
def delta_tails(tokens: tuple[str, ...]) -> tuple[bytes, ...]:
    """One `response.output_text.delta` event's end per token."""
    return tuple(
        b',"delta":%s,"logprobs":[],"sequence_number":%d}\n\n' % (orjson.dumps(token), place)
        for place, token in enumerate(tokens, OPENING_EVENTS)
    )


class ResponseAnswer(Answer):
    """One assistant message."""

    __slots__ = ("_data", "_ident", "_incomplete", "_model", "_tokens", "created")

    def __init__(
        self, data: dict[str, Any], settings: SimSettings, model: str, ident: bytes, created: int
    ) -> None:
        prompt = _prompt(data)
        self.prompt = prompt
        self.prompt_tokens = prompts.count_tokens(prompt)
        count, finish = prompts.answer_length(data, settings, "max_output_tokens")
        self._incomplete = finish == "length"
        self._tokens = answer_tokens(seed_of(prompt), count)
        self._data = data
        self._ident = ident
        self._model = quoted(model)
        self.created = created
        self.completion_tokens = count
        self.width = 1
        self.stream = data.get("stream") is True
        if self.stream:
            self.head = (
                b"event: response.output_text.delta\n"
                b'data: {"type":"response.output_text.delta","item_id":"msg_%s",'
                b'"output_index":0,"content_index":0' % ident
            )
            self.tails = delta_tails(self._tokens)

    def opening(self, cached: int) -> Sequence[bytes]:
        empty = self._response("in_progress", b"", None)
        return [
            _event("response.created", 0, b'"response":' + empty),
            _event("response.in_progress", 1, b'"response":' + empty),
            _event(
                "response.output_item.added",
                2,
                b'"output_index":0,"item":' + self._item("in_progress", b""),
            ),
            _event("response.content_part.added", 3, self._place() + b',"part":' + _part(b'""')),
        ]

    def closing(self, cached: int) -> Sequence[bytes]:
        text = joined(self._tokens)
        part = _part(text)
        item = self._item("completed", part)
        last = "response.incomplete" if self._incomplete else "response.completed"
        number = OPENING_EVENTS + len(self._tokens)
        whole = self._response(self._status(), item, cached)
        return [
            _event(
                "response.output_text.done",
                number,
                self._place() + b',"text":' + text + b',"logprobs":[]',
            ),
            _event("response.content_part.done", number + 1, self._place() + b',"part":' + part),
            _event("response.output_item.done", number + 2, b'"output_index":0,"item":' + item),
            _event(last, number + 3, b'"response":' + whole),
            DONE,
        ]

    def body(self, cached: int) -> bytes:
        return self._response(
            self._status(), self._item("completed", _part(joined(self._tokens))), cached
        )

    def _status(self) -> str:
        return "incomplete" if self._incomplete else "completed"

    def _place(self) -> bytes:
        return b'"item_id":"msg_%s","output_index":0,"content_index":0' % self._ident

    def _item(self, status: str, part: bytes) -> bytes:
        return (
            b'{"type":"message","id":"msg_%s","status":"%s","role":"assistant","content":[%s]}'
            % (
                self._ident,
                status.encode(),
                part,
            )
        )

    def _response(self, status: str, output: bytes, cached: int | None) -> bytes:
        data = self._data
        counts = b"null"
        if cached is not None:
            counts = (
                b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,'
                b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}'
                % (
                    self.prompt_tokens,
                    cached,
                    self.completion_tokens,
                    self.prompt_tokens + self.completion_tokens,
                )
            )
        incomplete = b'{"reason":"max_output_tokens"}' if status == "incomplete" else b"null"
        return (
            b'{"id":"resp_%s","object":"response","created_at":%d,"status":"%s","error":null,"incomplete_details":%s,'
            b'"instructions":%s,"max_output_tokens":%s,"model":%s,"output":[%s],"parallel_tool_calls":true,'
            b'"previous_response_id":%s,"store":false,"temperature":1.0,"text":{"format":{"type":"text"}},'
            b'"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":%s,"metadata":{}}'
            % (
                self._ident,
                self.created,
                status.encode(),
                incomplete,
                orjson.dumps(data.get("instructions")),
                orjson.dumps(data.get("max_output_tokens")),
                self._model,
                output,
                orjson.dumps(data.get("previous_response_id")),
                counts,
            )
        )


def _prompt(data: dict[str, Any]) -> str:
    instructions = data.get("instructions")
    parts = [instructions] if isinstance(instructions, str) else []
    given = data.get("input")
    if isinstance(given, str):
        parts.append(given)
    elif isinstance(given, list):
        parts += [
            prompts.content_text(item.get("content")) for item in given if isinstance(item, dict)
        ]
    else:
        raise prompts.reject("input must be a string or an array", "input")
    return "\n".join(parts)


def _part(text: bytes) -> bytes:
    return (
        b'{"type":"output_text","text":%s,"annotations":[],"logprobs":[]}' % text if text else b""
    )


def _event(name: str, number: int, fields: bytes) -> bytes:
    kind = name.encode()
    return b'event: %s\ndata: {"type":"%s",%s,"sequence_number":%d}\n\n' % (
        kind,
        kind,
        fields,
        number,
    )
