"""What the clients of a chaos run ask, and what the right answer is.

The simulated engine's text is a function of the prompt and of the number of tokens. Prompts carry
the number of their request at both ends and differ in length, so an answer to another request has
another text, another count of prompt tokens, or (completions may ask for an echo) another prompt.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from perf.messages import MODEL
from smg.sim.prompts import count_tokens
from smg.sim.text import answer_tokens, seed_of

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
LARGE_CHARS = 32_000

_WORDS = "The quick brown fox said 'no' and jumped over 13 lazy dogs, twice.\n"
_FILLER = _WORDS * (LARGE_CHARS // len(_WORDS) + 1)

# Shares of the mix.
COMPLETION_SHARE = 0.3
STREAM_SHARE = 0.6
LONG_SHARE = 0.4
LARGE_SHARE = 0.1
LEAVING_SHARE = 0.05
ECHO_SHARE = 0.5


@dataclass(frozen=True)
class Ask:
    """One request; `leaves` is how long its client stays in seconds, None = to the end."""

    number: int
    path: str
    prompt: str
    tokens: int
    stream: bool
    echo: bool = False
    leaves: float | None = None

    @property
    def ident(self) -> str:
        return f"chaos-{self.number}"

    @property
    def text(self) -> str:
        """What the simulated engine says."""
        said = "".join(answer_tokens(seed_of(self.prompt), self.tokens))
        return self.prompt + said if self.echo else said

    @property
    def prompt_tokens(self) -> int:
        return count_tokens(self.prompt)

    def body(self, model: str) -> bytes:
        asked: dict[str, object] = {"model": model, "max_tokens": self.tokens}
        if self.path == CHAT:
            asked["messages"] = [{"role": "user", "content": self.prompt}]
        else:
            asked["prompt"] = self.prompt
            asked["echo"] = self.echo
        if self.stream:
            asked["stream"] = True
            asked["stream_options"] = {"include_usage": True}
        return json.dumps(asked).encode()

    def wire(self, host: str, port: int, model: str = MODEL) -> bytes:
        """The request's bytes."""
        body = self.body(model)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: perf/1\r\n"
            f"Content-Type: application/json\r\nX-Request-Id: {self.ident}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def asks(seed: int) -> Iterator[Ask]:
    """The mix, without end; equal seeds give equal requests."""
    dice = random.Random(seed)
    for number in itertools.count(1):
        completion = dice.random() < COMPLETION_SHARE
        large = dice.random() < LARGE_SHARE
        filler = LARGE_CHARS if large else dice.randint(20, 400)
        leaves = dice.random() < LEAVING_SHARE
        yield Ask(
            number=number,
            path=COMPLETIONS if completion else CHAT,
            prompt=f"Question {number}: {_FILLER[:filler]} [{number}]",
            tokens=dice.randint(30, 60) if dice.random() < LONG_SHARE else dice.randint(1, 12),
            stream=dice.random() < STREAM_SHARE,
            echo=completion and not large and dice.random() < ECHO_SHARE,
            leaves=dice.uniform(0.0, 0.3) if leaves else None,
        )
