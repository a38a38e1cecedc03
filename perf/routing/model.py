"""The timing model of a simulated worker (smg/sim/engine.py) in virtual time.

Prompts are read one after the other at the worker's speed, what the prefix cache holds costs
nothing, and all answers are spoken at once, a token each `token_ms`. The cache is the simulated
engine's own class. Left out: `--max-running` (no shape comes near it) and the wheel's ticks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from perf.routing.shapes import Shape
from smg.sim import prompts
from smg.sim.cache import BLOCK_TOKENS, CHARACTERS_PER_TOKEN, PrefixCache, block_keys


@dataclass(frozen=True)
class Admission:
    """When a request's answer begins and ends (seconds of the run), and what its prompt cost."""

    first: float
    ended: float
    prompt_tokens: int
    cached_tokens: int


class WorkerModel:
    """One worker; `admit` must be called with times that never go back."""

    def __init__(self, shape: Shape) -> None:
        self.cache = PrefixCache(shape.cache_blocks)
        self.prefill_free = 0.0  # when the prompts taken so far are read
        self.admitted = 0
        self._begins: deque[float] = deque()  # of reading: those to come
        self.seconds_per_token = CHARACTERS_PER_TOKEN / shape.prefill_per_second
        self.token_seconds = shape.token_ms / 1_000

    def reading_seconds(self, prompt: str) -> float:
        """How long what is not cached of `prompt` would take to read; changes nothing."""
        return missing_tokens(self.cache, prompt) * self.seconds_per_token

    def unread(self, now: float) -> int:
        """Requests whose prompt nobody has begun to read."""
        while self._begins and self._begins[0] <= now:
            self._begins.popleft()
        return len(self._begins)

    def admit(self, now: float, prompt: str, answer_tokens: int) -> Admission:
        tokens = prompts.count_tokens(prompt)
        cached = min(self.cache.use(prompt), tokens - 1)
        begin = max(now, self.prefill_free)
        first = begin + (tokens - cached) * self.seconds_per_token
        self.admitted += 1
        self._begins.append(begin)
        self.prefill_free = first
        return Admission(first, first + (answer_tokens - 1) * self.token_seconds, tokens, cached)


def missing_tokens(cache: PrefixCache, prompt: prompts.Prompt) -> int:
    """Tokens of `prompt` that are not in `cache`, at least one; changes nothing."""
    held = cache._blocks  # the engine's cache has no look-up that does not count as a use
    blocks = 0
    for key in block_keys(prompt) if held else ():
        if key not in held:
            break
        blocks += 1
    tokens = prompts.count_tokens(prompt)
    return tokens - min(blocks * BLOCK_TOKENS, tokens - 1)
