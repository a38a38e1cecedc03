"""The conversations of a shape: every text and every pause is fixed by (shape, seed).

What the model answers is not: it becomes part of the next turn as it was received.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from perf.routing.shapes import Shape
from smg.sim.text import WORDS


@dataclass(frozen=True)
class Session:
    """One user: `questions[i]` is asked `thinks[i]` seconds after the answer before it.

    `starts` is when the session arrives, in seconds since the start of the run. In a closed loop
    only those that find a place at once have one; the others begin when a place is free.
    """

    key: str
    system: str
    questions: tuple[str, ...]
    thinks: tuple[float, ...]
    answers: tuple[int, ...]  # tokens asked for
    starts: float = 0.0


def prose(rng: random.Random, characters: int) -> str:
    """Words of exactly that many characters; two texts rarely share more than a word."""
    words: list[str] = []
    missing = characters
    while missing > 0:
        some = rng.choices(WORDS, k=missing // 5 + 1)
        words += some
        missing -= sum(map(len, some)) + len(some)
    return " ".join(words)[:characters]


def sessions(shape: Shape, seed: int) -> list[Session]:
    """All sessions of a run, in the order in which they begin."""
    rng = random.Random(f"{shape.name}/{seed}")
    systems = [prose(rng, shape.group_characters) for _ in range(shape.groups)]
    # Every group gets its share, in an order that no policy can guess.
    groups = [number % shape.groups for number in range(shape.sessions)] if shape.groups else []
    rng.shuffle(groups)
    lengths = random.Random(f"{shape.name}/{seed}/answers")
    made = []
    arrival = 0.0
    for number in range(shape.sessions):
        if shape.arrivals_per_second and number % shape.burst == 0:
            arrival += rng.expovariate(shape.arrivals_per_second / shape.burst)
        elif number < shape.at_once:
            arrival = shape.ramp_seconds * number / shape.at_once
        low, high = shape.question_characters
        made.append(
            Session(
                key=f"session-{seed}-{number}",
                system=systems[groups[number]] if groups else "",
                questions=tuple(prose(rng, rng.randint(low, high)) for _ in range(shape.turns)),
                thinks=tuple(
                    rng.expovariate(1 / shape.think_seconds)
                    if turn and shape.think_seconds
                    else 0.0
                    for turn in range(shape.turns)
                ),
                answers=tuple(
                    shape.long_answer_tokens
                    if shape.long_answers and lengths.random() < shape.long_answers
                    else shape.answer_tokens
                    for _ in range(shape.turns)
                ),
                starts=0.0 if number >= shape.at_once > 0 else arrival,
            )
        )
    return made


@dataclass
class Conversation:
    """A session on its way: what was said so far."""

    session: Session
    turn: int = 0

    def __post_init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        if self.session.system:
            self.messages.append({"role": "system", "content": self.session.system})

    @property
    def answer_tokens(self) -> int:
        """Length of the next answer."""
        return self.session.answers[self.turn]

    def ask(self) -> list[dict[str, str]]:
        """The messages of the next request."""
        question = {"role": "user", "content": self.session.questions[self.turn]}
        self.messages.append(question)
        return self.messages

    def answered(self, text: str) -> bool:
        """Takes the answer in; False when it was the last."""
        self.messages.append({"role": "assistant", "content": text})
        self.turn += 1
        return self.turn < len(self.session.questions)
