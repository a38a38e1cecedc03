"""Workload shapes: who asks what, and before which workers.

Lengths are in characters (4 are a token), times in seconds unless a name says otherwise. A block of
the workers' prefix cache has 64 characters, so 1,500 blocks hold 96,000 characters.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One workload. The defaults are the baseline's.

    Closed loop: `at_once` sessions are in progress, the next begins when one ends. Open loop
    (`at_once` 0): sessions arrive by chance, `arrivals_per_second` on average, `burst` of them
    together, whatever the workers do.
    """

    name: str
    title: str
    # the workers
    workers: int = 4
    cache_blocks: int = 1_500
    prefill_per_second: float = 20_000.0
    token_ms: float = 40.0
    # the sessions
    sessions: int = 60
    turns: int = 6
    groups: int = 4  # 0: no shared beginning
    group_characters: int = 6_000
    question_characters: tuple[int, int] = (850, 2_050)
    answer_tokens: int = 12
    long_answers: float = 0.0  # share of turns with an answer of `long_answer_tokens` instead
    long_answer_tokens: int = 0
    think_seconds: float = 0.5  # mean, exponential
    # how they come
    at_once: int = 24
    ramp_seconds: float = 2.0  # closed loop: the first sessions begin evenly over this time
    arrivals_per_second: float = 0.0
    burst: int = 1
    # Runs, for each that `--runs` asks for. More where two runs of one binary differ by far more
    # than policies do: the median of three would be drawn by lot.
    runs: int = 1
    # what goes wrong: one worker ends without a word when half of the turns are answered
    lose_worker: bool = False

    @property
    def requests(self) -> int:
        return self.sessions * self.turns


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("baseline", "24 sessions at once in 4 prompt groups, 4 workers"),
        Shape(
            "many-groups",
            "20 groups of 10,000 characters: twice what one cache holds",
            groups=20,
            group_characters=10_000,
            question_characters=(400, 1_200),
        ),
        Shape(
            "one-prompt",
            "one system prompt for all",
            groups=1,
            question_characters=(400, 1_200),
        ),
        Shape(
            "no-sharing",
            "single questions, nothing in common",
            sessions=240,
            turns=1,
            groups=0,
            question_characters=(1_000, 5_000),
            at_once=16,
        ),
        Shape(
            "long-context",
            "conversations about a document of their own, up to 60,000 characters",
            cache_blocks=2_500,
            sessions=16,
            turns=8,
            groups=16,
            group_characters=25_000,
            question_characters=(2_000, 6_000),
            think_seconds=1.0,
            at_once=8,
        ),
        Shape(
            "few-at-once",
            "4 sessions at once before 8 workers, one system prompt",
            workers=8,
            sessions=24,
            groups=1,
            group_characters=4_000,
            question_characters=(2_000, 4_000),
            think_seconds=0.0,
            at_once=4,
        ),
        Shape("worker-lost", "the baseline; one of 4 workers ends at half time", lose_worker=True),
        Shape(
            "open-loop",
            "sessions arrive by chance, 3 together; round_robin keeps workers 60 to 70 % busy",
            sessions=90,
            at_once=0,
            arrivals_per_second=2.75,
            burst=3,
            think_seconds=1.0,
            runs=5,
        ),
        Shape(
            "open-busy",
            "the same with longer questions: 50 to 70 % busy at best, too much for round_robin",
            sessions=90,
            question_characters=(1_500, 3_000),
            at_once=0,
            arrivals_per_second=3.25,
            burst=3,
            think_seconds=1.0,
            runs=15,
        ),
    )
}
