"""The virtual worker against the simulated engine itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from perf.routing.model import WorkerModel
from perf.routing.shapes import SHAPES
from smg.sim import prompts
from smg.sim.engine import Engine
from smg.sim.settings import make

SHAPE = replace(SHAPES["baseline"], cache_blocks=40, prefill_per_second=8_000.0, token_ms=10.0)


class FakeLoop:
    now = 0.0

    def time(self) -> float:
        return self.now


@dataclass(eq=False)
class FakeJob:
    """What the engine needs of a job; doubles as the job's answer."""

    prompt: str
    admission: tuple[int, float] = (0, 0.0)
    fetched: bool = False

    @property
    def answer(self) -> FakeJob:
        return self

    @property
    def prompt_tokens(self) -> int:
        return prompts.count_tokens(self.prompt)

    def admitted(self, cached: int, *times: float) -> None:
        self.admission = (cached, times[-1])  # the last is when the first token comes


def test_admissions_equal_the_engines() -> None:
    loop = FakeLoop()
    settings = make(
        prefill_tokens_per_second=2_000.0, token_latency_ms=10.0, cache_blocks=SHAPE.cache_blocks
    )
    engine = Engine(settings, cast(Any, loop))
    model = WorkerModel(SHAPE)
    rng = random.Random(5)
    texts = ["".join(rng.choices("abcdef ", k=rng.randint(1, 1_500))) for _ in range(6)]
    cached = 0
    for _ in range(300):
        loop.now += rng.expovariate(4.0)
        # Prompts that share beginnings, and more of them than the cache holds.
        prompt = rng.choice(texts)[: rng.randint(1, 1_500)] + rng.choice(["", "x" * 200])
        expected = model.reading_seconds(prompt)
        job = FakeJob(prompt)
        engine._admit(cast(Any, job))
        admission = model.admit(loop.now, prompt, answer_tokens=5)
        assert (admission.cached_tokens, admission.first) == job.admission
        assert admission.prompt_tokens == job.prompt_tokens
        assert admission.ended == pytest.approx(admission.first + 4 * 0.010)
        missing = admission.prompt_tokens - admission.cached_tokens
        assert expected == pytest.approx(missing / 2_000)
        cached += admission.cached_tokens
    assert engine.cached_tokens == cached > 0


def test_prompts_wait_for_each_other() -> None:
    model = WorkerModel(SHAPE)
    first = model.admit(0.0, "a" * 800, 1)
    second = model.admit(0.0, "b" * 800, 1)
    assert first.first == pytest.approx(0.1)
    assert second.first == pytest.approx(0.2)
    assert model.admit(5.0, "c" * 800, 1).first == pytest.approx(5.1)
