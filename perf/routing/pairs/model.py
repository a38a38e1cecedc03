"""The timing of a decode worker in virtual time: the KV cache comes over a link, then all answers
are spoken together, the slower the more they are.

The prompt's KV is taken over one request after the other, at the link's speed, but for what the
worker's own prefix cache holds. Then the first token is there at once: prefill has computed it. A
request beyond `places` waits for somebody else's end. The prefill worker is `perf.routing.model`'s.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from perf.routing.model import missing_tokens
from perf.routing.pairs.shapes import PairShape
from perf.routing.users import Clock
from smg.sim import prompts
from smg.sim.cache import CHARACTERS_PER_TOKEN, PrefixCache


@dataclass(eq=False)
class Speech:
    """A request at its decode worker: what is called when its first and its last token are said."""

    prompt: str
    tokens: int
    began: Callable[[], None]
    ended: Callable[[], None]
    cached_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        return prompts.count_tokens(self.prompt)


class DecodeModel:
    """One worker. `fetch` is called when the prompt was read by prefill."""

    def __init__(self, shape: PairShape, clock: Clock) -> None:
        self.cache = PrefixCache(shape.decode_cache_blocks)
        self.batch = Batch(clock, shape.token_ms / 1_000, shape.slowdown)
        self._clock = clock
        self._places = shape.places
        self.waiting: deque[Speech] = deque()  # for a place
        self.used_tokens = 0  # of prompts whose answer is spoken
        self._link_free = 0.0
        self._seconds_per_token = CHARACTERS_PER_TOKEN / shape.transfer_per_second

    def fetch(self, speech: Speech) -> None:
        missing = missing_tokens(self.cache, speech.prompt)
        begin = max(self._clock.now, self._link_free)
        self._link_free = begin + missing * self._seconds_per_token
        self._clock.at(self._link_free, lambda: self._fetched(speech))

    def _fetched(self, speech: Speech) -> None:
        if self._places and len(self.batch) >= self._places:
            self.waiting.append(speech)
        else:
            self._speak(speech)

    def _speak(self, speech: Speech) -> None:
        tokens = speech.prompt_tokens
        self.used_tokens += tokens
        speech.cached_tokens = min(self.cache.use(speech.prompt), tokens - 1)
        self.batch.join(speech.tokens - 1, lambda: self._spoken(speech))
        speech.began()

    def _spoken(self, speech: Speech) -> None:
        self.used_tokens -= speech.prompt_tokens
        if self.waiting:
            self._speak(self.waiting.popleft())
        speech.ended()


class Batch:
    """Answers spoken at once: a token takes `token_seconds`, and `slowdown` of that longer for each
    other answer.

    All advance at one pace, so one count of tokens serves for all: an answer ends when the count
    has grown by its length.
    """

    def __init__(self, clock: Clock, token_seconds: float, slowdown: float) -> None:
        self._clock = clock
        self._token_seconds = token_seconds
        self._slowdown = slowdown
        self._said = 0.0  # tokens that somebody who was here always would have said
        self._said_by_all = 0.0
        self._at = 0.0  # when that was true
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._plan = 0  # serial of the wake-up that counts; earlier ones are stale

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def pace(self) -> float:
        """Seconds for a token of each."""
        others = max(0, len(self._ends) - 1)
        return self._token_seconds * (1 + self._slowdown * others)

    @property
    def tokens_said(self) -> float:
        """By all answers so far; first tokens come from prefill and do not count."""
        self._advance()
        return self._said_by_all

    def join(self, tokens: int, ended: Callable[[], None]) -> None:
        """`ended` is called when `tokens` were said."""
        self._advance()
        self._serial += 1
        heapq.heappush(self._ends, (self._said + tokens, self._serial, ended))
        self._wake_up()

    def _advance(self) -> None:
        now = self._clock.now
        if self._ends:
            passed = (now - self._at) / self.pace
            self._said += passed
            self._said_by_all += passed * len(self._ends)
        self._at = now

    def _wake_up(self) -> None:
        self._plan += 1
        plan = self._plan
        if self._ends:
            left = max(0.0, self._ends[0][0] - self._said)
            self._clock.at(self._clock.now + left * self.pace, lambda: self._woken(plan))

    def _woken(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._advance()
        end, _, ended = heapq.heappop(self._ends)
        self._said = max(self._said, end)  # rounding must not leave it short of what is over
        self._wake_up()
        ended()
