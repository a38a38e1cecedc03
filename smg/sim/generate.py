"""`POST /generate`, SGLang's native shape (http-api 11).

Streamed frames carry the text so far; `meta_info` comes first in the JSON so that what is a
request's own stays in the shared head. A batch (list of texts or of id lists) gives an array;
batches do not stream.
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

# Ids of simulated tokens are positions in an imaginary vocabulary.
FIRST_TOKEN_ID = 1000


@lru_cache(maxsize=512)
def output_ids(tokens: tuple[str, ...]) -> tuple[int, ...]:
    """A token id per token, equal for equal words."""
    return tuple(FIRST_TOKEN_ID + seed_of(token) for token in tokens)


@lru_cache(maxsize=256)
def generate_tails(tokens: tuple[str, ...], finish: bytes) -> tuple[bytes, ...]:
    """One frame's end per token; the last one carries the finish reason."""
    ids = output_ids(tokens)
    tails = []
    text = ""
    for position, token in enumerate(tokens, 1):
        text += token
        reason = finish if position == len(tokens) else b"null"
        tails.append(
            b'"completion_tokens":%d,"finish_reason":%s},"text":%s,"output_ids":%s}\n\n'
            % (position, reason, orjson.dumps(text), orjson.dumps(ids[position - 1 : position]))
        )
    return tuple(tails)


class GenerateAnswer(Answer):
    """One text, or an array of them for a batch."""

    __slots__ = (
        "_batch",
        "_finish",
        "_ids",
        "_is_batch",
        "_logprobs",
        "_plain",
        "_read",
        "_tokens",
    )

    def __init__(
        self, data: dict[str, Any], settings: SimSettings, model: str, ident: bytes, created: int
    ) -> None:
        self._batch = prompts_of(data)
        self._is_batch = _is_batch(data)
        self.prompt = self._batch[0] if len(self._batch) == 1 else "\n".join(map(str, self._batch))
        self.prompt_tokens = sum(map(prompts.count_tokens, self._batch))
        params = data.get("sampling_params")
        if isinstance(params, list):
            params = params[0] if params else None
        if params is not None and type(params) is not dict:
            raise prompts.reject("sampling_params must be an object", "sampling_params")
        count, finish = prompts.answer_length(params or {}, settings, "max_new_tokens")
        self._finish = (
            b'{"type":"length","length":%d}' % count
            if finish == "length"
            else b'{"type":"stop","matched":2}'
        )
        self._tokens = [answer_tokens(seed_of(_text(prompt)), count) for prompt in self._batch]
        self._logprobs = data.get("return_logprob") is True
        self._read = True
        rid = data.get("rid")
        rids = (
            rid
            if isinstance(rid, list) and len(rid) == len(self._batch)
            else [rid] * len(self._batch)
        )
        self._ids = [
            quoted(one)
            if isinstance(one, str)
            else b'"%s%s"' % (ident, b"-%d" % place if place else b"")
            for place, one in enumerate(rids)
        ]
        self.completion_tokens = count * len(self._batch)
        self.width = 1
        self.stream = data.get("stream") is True
        if self.stream:
            if len(self._batch) > 1:
                raise prompts.reject("a batch cannot be streamed", "stream")
            self._plain = self.tails = generate_tails(self._tokens[0], self._finish)
            self.head = b""

    def opening(self, cached: int) -> Sequence[bytes]:
        # Not a frame: the first place where the cached share is known.
        self.head = b"data: {" + self._meta(0, cached)
        if self._logprobs:  # all of them in the first frame
            self.tails = (self._logprob_lists(0) + self._plain[0], *self._plain[1:])
        return ()

    def leave_out_prompt(self) -> None:
        """Another engine read the prompt: its log-probabilities are not known here."""
        self._read = False

    def frames(self, cached: int) -> list[bytes]:
        self.opening(cached)
        return super().frames(cached)

    def closing(self, cached: int) -> Sequence[bytes]:
        return (DONE,)

    def body(self, cached: int) -> bytes:
        texts = [self._one(place, cached if place == 0 else 0) for place in range(len(self._batch))]
        return b"[%s]" % b",".join(texts) if self._is_batch else texts[0]

    def _meta(self, place: int, cached: int) -> bytes:
        return (
            b'"meta_info":{"id":%s,"prompt_tokens":%d,"cached_tokens":%d,"weight_version":"default",'
            % (
                self._ids[place],
                prompts.count_tokens(self._batch[place]),
                cached,
            )
        )

    def _one(self, place: int, cached: int) -> bytes:
        tokens = self._tokens[place]
        return (
            b'{"text":%s,"output_ids":%s,%s%s"finish_reason":%s,"completion_tokens":%d,"e2e_latency":0.0}}'
            % (
                joined(tokens),
                orjson.dumps(output_ids(tokens)),
                self._meta(place, cached),
                self._logprob_lists(place) if self._logprobs else b"",
                self._finish,
                len(tokens),
            )
        )

    def _logprob_lists(self, place: int) -> bytes:
        prompt = self._batch[place]
        ids = prompt if not isinstance(prompt, str) else range(prompts.count_tokens(prompt))
        entering = [[None if spot == 0 else -1.0, token, None] for spot, token in enumerate(ids)]
        if not self._read:
            entering = []
        leaving = [[-0.5, token, None] for token in output_ids(self._tokens[place])]
        return b'"input_token_logprobs":%s,"output_token_logprobs":%s,' % (
            orjson.dumps(entering),
            orjson.dumps(leaving),
        )


def prompts_of(data: dict[str, Any]) -> list[prompts.Prompt]:
    """`text` or `input_ids`, single or batched; text wins."""
    text, ids = data.get("text"), data.get("input_ids")
    if isinstance(text, str):
        return [text]
    if isinstance(text, list) and text and all(isinstance(one, str) for one in text):
        return list(text)
    if isinstance(ids, list) and ids:
        if all(type(one) is int for one in ids):
            return [ids]
        if all(isinstance(one, list) for one in ids):
            return list(ids)
    raise prompts.reject("either text or input_ids must be given", "text")


def _is_batch(data: dict[str, Any]) -> bool:
    text, ids = data.get("text"), data.get("input_ids")
    if text is not None:
        return isinstance(text, list)
    return isinstance(ids, list) and bool(ids) and isinstance(ids[0], list)


def _text(prompt: prompts.Prompt) -> str:
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
