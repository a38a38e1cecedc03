"""`POST /v1/chat/completions`: text, JSON or tool calls, whole or as chunks (http-api 9)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from smg.sim import prompts
from smg.sim.answers import DONE, Answer, joined, quoted, usage
from smg.sim.schema import example
from smg.sim.settings import SimSettings
from smg.sim.text import SEEDS, answer_tokens, pieces, seed_of


@lru_cache(maxsize=512)
def text_tails(tokens: tuple[str, ...], index: int) -> tuple[bytes, ...]:
    """One chunk's end per token of choice `index`."""
    start = b'{"index":%d,"delta":{"content":' % index
    return tuple(start + orjson.dumps(token) + b'},"finish_reason":null}]}\n\n' for token in tokens)


def tool_tails(call: bytes, name: bytes, arguments: str, index: int) -> tuple[bytes, ...]:
    """Chunks of one tool call: id, type and name in the first, then the arguments in pieces."""
    start = b'{"index":%d,"delta":{"tool_calls":[{"index":0,' % index
    end = b'}}]},"finish_reason":null}]}\n\n'
    first = (
        start
        + b'"id":"call_%s","type":"function","function":{"name":%s,"arguments":""' % (call, name)
        + end
    )
    rest = (
        start + b'"function":{"arguments":%s' % quoted(piece) + end for piece in pieces(arguments)
    )
    return (first, *rest)


class ChatAnswer(Answer):
    """A chat completion of `n` choices."""

    __slots__ = (
        "_call",
        "_finish",
        "_ident",
        "_include_usage",
        "_model",
        "_texts",
        "created",
    )

    def __init__(
        self, data: dict[str, Any], settings: SimSettings, model: str, ident: bytes, created: int
    ) -> None:
        prompt = prompts.chat_prompt(data.get("messages"))
        self.prompt = prompt
        self.prompt_tokens = prompts.count_tokens(prompt)
        self.created = created
        self._ident = ident
        self._model = quoted(model)
        count, self._finish = prompts.answer_length(
            data, settings, "max_completion_tokens", "max_tokens"
        )
        self.width = width = prompts.choices(data)
        seed = seed_of(prompt)
        self._call = _wanted_tool(data, seed) if "tools" in data else None
        self._texts: list[tuple[str, ...]] = []
        if self._call is not None:
            self._finish = "tool_calls"
            self.completion_tokens = (1 + len(pieces(self._call[1]))) * width
        else:
            fixed = (
                _wanted_json(data["response_format"], seed) if data.get("response_format") else None
            )
            for choice in range(width):
                tokens = (
                    pieces(fixed)
                    if fixed is not None
                    else answer_tokens((seed + choice) % SEEDS, count)
                )
                if data.get("stop"):
                    tokens, met = prompts.cut_at_stop(tokens, data["stop"])
                    self._finish = "stop" if met else self._finish
                self._texts.append(tokens)
            self.completion_tokens = sum(map(len, self._texts))
        self.stream = data.get("stream") is True
        if self.stream:
            options = data.get("stream_options")
            self._include_usage = type(options) is dict and options.get("include_usage") is True
            self.head = (
                b'data: {"id":"chatcmpl-%s","object":"chat.completion.chunk",'
                b'"created":%d,"model":%s,"choices":['
                % (
                    ident,
                    created,
                    self._model,
                )
            )
            self.tails = self._tails()

    def _tails(self) -> Sequence[bytes]:
        call = self._call
        if self.width == 1:
            return (
                text_tails(self._texts[0], 0)
                if call is None
                else tool_tails(self._call_id(0), *call, 0)
            )
        if call is not None:
            columns = [
                tool_tails(self._call_id(index), *call, index) for index in range(self.width)
            ]
        else:
            columns = [text_tails(tokens, index) for index, tokens in enumerate(self._texts)]
        if len({len(column) for column in columns}) == 1:
            return tuple(chain.from_iterable(zip(*columns, strict=True)))
        # A stop string may cut one choice short; then the choices follow each other.
        return tuple(chain.from_iterable(columns))

    def _call_id(self, index: int) -> bytes:
        return (self._ident + b"%04x" % index)[-24:].rjust(24, b"0")

    def opening(self, cached: int) -> Sequence[bytes]:
        return [
            self.head
            + b'{"index":%d,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
            % index
            for index in range(self.width)
        ]

    def closing(self, cached: int) -> Sequence[bytes]:
        finish = self._finish.encode()
        frames = [
            self.head + b'{"index":%d,"delta":{},"finish_reason":"%s"}]}\n\n' % (index, finish)
            for index in range(self.width)
        ]
        if self._include_usage:
            counts = usage(self.prompt_tokens, self.completion_tokens, cached)
            frames.append(self.head + b'],"usage":' + counts + b"}\n\n")
        frames.append(DONE)
        return frames

    def body(self, cached: int) -> bytes:
        return (
            b'{"id":"chatcmpl-%s","object":"chat.completion","created":%d,"model":%s,"choices":[%s],"usage":%s}'
            % (
                self._ident,
                self.created,
                self._model,
                b",".join([self._choice(index) for index in range(self.width)]),
                usage(self.prompt_tokens, self.completion_tokens, cached),
            )
        )

    def _choice(self, index: int) -> bytes:
        if self._call is None:
            message = b'"content":' + joined(self._texts[index])
        else:
            name, arguments = self._call
            message = (
                b'"content":null,"tool_calls":[{"id":"call_%s","type":"function","function":{"name":%s,"arguments":%s}}]'
                % (
                    self._call_id(index),
                    name,
                    quoted(arguments),
                )
            )
        return b'{"index":%d,"message":{"role":"assistant",%s},"finish_reason":"%s"}' % (
            index,
            message,
            self._finish.encode(),
        )


def _wanted_tool(data: dict[str, Any], seed: int) -> tuple[bytes, str] | None:
    """(name as JSON, arguments) of a demanded tool call; `auto` and `none` get text."""
    choice = data.get("tool_choice")
    functions = [
        tool["function"]
        for tool in data["tools"] or ()
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    if isinstance(choice, dict) and choice.get("type") == "function":
        name = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function.get("name") == name]
        if not functions:
            raise prompts.reject(f"tool_choice names an unknown function: {name}", "tool_choice")
    elif choice != "required":
        return None
    if not functions:
        raise prompts.reject("tool_choice needs tools", "tools")
    function = functions[0]
    arguments = example(function.get("parameters") or {"type": "object"}, seed)
    return quoted(str(function.get("name"))), orjson.dumps(arguments).decode()


def _wanted_json(response_format: Any, seed: int) -> str | None:
    """The JSON text that a `response_format` demands; None for plain text."""
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_object":
        return orjson.dumps({"answer": "".join(answer_tokens(seed, 6))}).decode()
    if kind == "json_schema":
        schema = (response_format.get("json_schema") or {}).get("schema")
        return orjson.dumps(example(schema, seed)).decode()
    return None
