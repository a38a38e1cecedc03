"""The virtual decode worker: by hand, and against the simulated engine itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from perf.routing.pairs.fleet import DecodeEngine, Timing
from perf.routing.pairs.model import Batch, DecodeModel, Speech
from perf.routing.pairs.shapes import PAIR_SHAPES
from perf.routing.users import Clock
from smg.sim import prompts
from smg.sim.settings import make

#: 40,000 characters, 10,000 tokens in a second
SHAPE = replace(
    PAIR_SHAPES["documents"],
    decode_cache_blocks=30,
    transfer_per_second=40_000.0,
    token_ms=10.0,
    slowdown=0.5,
)
TIMING = Timing(slowdown=0.5, transfer_seconds=1e-4, cache_blocks=30, places=0)


@dataclass
class Told:
    """When an answer began and ended."""

    clock: Clock
    times: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.times.append(self.clock.now)


def test_answers_delay_each_other() -> None:
    clock = Clock()
    batch = Batch(clock, token_seconds=1.0, slowdown=0.5)
    long, short = Told(clock), Told(clock)
    clock.at(0.0, lambda: batch.join(10, long))
    clock.at(4.0, lambda: batch.join(2, short))
    clock.run()
    # 4 tokens alone, 2 at 1.5 s each beside the short one, 4 alone again
    assert short.times == [pytest.approx(7.0)]
    assert long.times == [pytest.approx(11.0)]
    assert len(batch) == 0


def test_answers_that_end_together_all_end() -> None:
    clock = Clock()
    batch = Batch(clock, token_seconds=0.1, slowdown=0.1)
    told = [Told(clock) for _ in range(7)]
    for one in told:
        batch.join(3, one)
    clock.run()
    assert [one.times for one in told] == [[pytest.approx(3 * 0.16)]] * 7


def speeches(
    model: DecodeModel, clock: Clock, *prompts: str, tokens: int = 11
) -> list[tuple[Speech, Told, Told]]:
    some = []
    for prompt in prompts:
        began, ended = Told(clock), Told(clock)
        some.append((Speech(prompt, tokens, began, ended), began, ended))
        model.fetch(some[-1][0])
    clock.run()
    return some


def test_the_link_takes_one_after_the_other_and_only_what_is_missing() -> None:
    clock = Clock()
    model = DecodeModel(SHAPE, clock)
    first, second = speeches(model, clock, "a" * 800, "b" * 400)
    assert first[1].times == [pytest.approx(0.020)]
    assert second[1].times == [pytest.approx(0.030)]
    later = clock.now
    (again,) = speeches(model, clock, "a" * 800 + "c" * 80)
    assert again[0].cached_tokens == 192  # 12 blocks of 64 characters
    assert again[1].times == [pytest.approx(later + 0.0028)]


def test_without_a_place_an_answer_waits() -> None:
    clock = Clock()
    model = DecodeModel(replace(SHAPE, places=1, slowdown=0.0), clock)
    first, second = speeches(model, clock, "a" * 40, "b" * 40)
    assert first[2].times == [pytest.approx(0.001 + 10 * 0.010)]
    assert second[1].times == first[2].times
    assert second[2].times == [pytest.approx(0.001 + 20 * 0.010)]


class FakeLoop:
    """Collects what is to happen; nothing does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[float] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Any) -> None:
        self.due.append(when)

    def create_future(self) -> None: ...


@dataclass
class FakeAnswer:
    prompt: str

    @property
    def prompt_tokens(self) -> int:
        return prompts.count_tokens(self.prompt)


def test_the_link_is_the_engines() -> None:
    loop = FakeLoop()
    engine = DecodeEngine(
        make(role="decode", token_latency_ms=10.0, cache_blocks=30), cast(Any, loop), TIMING
    )
    clock = Clock()
    model = DecodeModel(SHAPE, clock)
    rng = random.Random(3)
    texts = ["".join(rng.choices("abcdef ", k=1_500)) for _ in range(4)]
    for _ in range(200):
        loop.now = clock.now = loop.now + rng.expovariate(20.0)
        prompt = rng.choice(texts)[: rng.randint(1, 1_500)]
        engine._start(cast(Any, None), cast(Any, FakeAnswer(prompt)), None, fetched=True)
        model.fetch(Speech(prompt, 1, lambda: None, lambda: None))
        assert loop.due[-1] == pytest.approx(model._link_free)
        for cache in (engine.cache, model.cache):
            cache.use(prompt)
    assert engine.cache.hits == model.cache.hits > 0


def test_the_pace_is_the_engines() -> None:
    settings = make(role="decode", token_latency_ms=10.0)
    engine = DecodeEngine(settings, cast(Any, FakeLoop()), TIMING)
    batch = Batch(Clock(), 0.010, 0.5)
    for number in range(4):
        assert engine.token_latency == pytest.approx(batch.pace)
        engine.jobs[cast(Any, number)] = None
        batch.join(1, lambda: None)
