"""`POST /v1/completions`: prompts in batches, `n`, `echo` (http-api 10)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from smg.sim import prompts
from smg.sim.answers import DONE, Answer, joined, quoted, usage
from smg.sim.settings import SimSettings
from smg.sim.text import SEEDS, answer_tokens, seed_of


@lru_cache(maxsize=512)
def completion_tails(tokens: tuple[str, ...], index: int) -> tuple[bytes, ...]:
    """One chunk's end per token of choice `index`."""
    start = b'{"index":%d,"text":' % index
    return tuple(
        start + orjson.dumps(token) + b',"logprobs":null,"finish_reason":null}]}\n\n'
        for token in tokens
    )


class CompletionAnswer(Answer):
    """Choice number = prompt number * n + choice of that prompt."""

    __slots__ = ("_finish", "_ident", "_include_usage", "_model", "_texts", "created")

    def __init__(
        self, data: dict[str, Any], settings: SimSettings, model: str, ident: bytes, created: int
    ) -> None:
        batch = prompts.completion_prompts(data.get("prompt"))
        count, self._finish = prompts.answer_length(data, settings, "max_tokens")
        repeat = prompts.choices(data)
        self.prompt = batch[0] if len(batch) == 1 else "\n".join(_text(prompt) for prompt in batch)
        self.prompt_tokens = sum(map(prompts.count_tokens, batch))
        self.created = created
        self._ident = ident
        self._model = quoted(model)
        self._texts: list[tuple[str, ...]] = []
        for prompt in batch:
            text = _text(prompt)
            seed = seed_of(text)
            for choice in range(repeat):
                tokens = answer_tokens((seed + choice) % SEEDS, count)
                if data.get("stop"):
                    tokens, met = prompts.cut_at_stop(tokens, data["stop"])
                    self._finish = "stop" if met else self._finish
                self._texts.append(tokens)
        self.completion_tokens = sum(map(len, self._texts))
        if data.get("echo") is True:
            echoes = [_text(prompt) for prompt in batch for _ in range(repeat)]
            self._texts = [
                (text + tokens[0], *tokens[1:])
                for text, tokens in zip(echoes, self._texts, strict=True)
            ]
        self.width = len(self._texts)
        self.stream = data.get("stream") is True
        if self.stream:
            options = data.get("stream_options")
            self._include_usage = type(options) is dict and options.get("include_usage") is True
            self.head = (
                b'data: {"id":"cmpl-%s","object":"text_completion",'
                b'"created":%d,"model":%s,"choices":['
                % (
                    ident,
                    created,
                    self._model,
                )
            )
            columns = [completion_tails(tokens, index) for index, tokens in enumerate(self._texts)]
            rows = (
                zip(*columns, strict=True)
                if len({len(column) for column in columns}) == 1
                else columns
            )
            self.tails = columns[0] if self.width == 1 else tuple(chain.from_iterable(rows))

    def closing(self, cached: int) -> Sequence[bytes]:
        end = b',"text":"","logprobs":null,"finish_reason":"%s"}]}\n\n' % self._finish.encode()
        frames = [self.head + b'{"index":%d' % index + end for index in range(self.width)]
        if self._include_usage:
            counts = usage(self.prompt_tokens, self.completion_tokens, cached)
            frames.append(self.head + b'],"usage":' + counts + b"}\n\n")
        frames.append(DONE)
        return frames

    def body(self, cached: int) -> bytes:
        end = b',"logprobs":null,"finish_reason":"%s"}' % self._finish.encode()
        choices = [
            b'{"index":%d,"text":%s' % (index, joined(text)) + end
            for index, text in enumerate(self._texts)
        ]
        return (
            b'{"id":"cmpl-%s","object":"text_completion","created":%d,"model":%s,"choices":[%s],"usage":%s}'
            % (
                self._ident,
                self.created,
                self._model,
                b",".join(choices),
                usage(self.prompt_tokens, self.completion_tokens, cached),
            )
        )


def _text(prompt: prompts.Prompt) -> str:
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
