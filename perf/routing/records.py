"""What is kept of one request, by both drivers. Times in seconds of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Record:
    """One turn of one session.

    `sent` is when the user asked, `first` when the first piece of the answer arrived, `ended` when
    the last did. A turn that had to be asked again (`errors` times) is one record: its waiting
    counts from the first asking. `worker` is who answered; `answer_tokens` is how long the answer
    was asked to be.
    """

    session: str
    turn: int
    sent: float
    first: float = math.nan
    ended: float = math.nan
    worker: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    errors: int = 0
    reason: str = ""
    answer_tokens: int = 0

    @property
    def ttft(self) -> float:
        return self.first - self.sent

    @property
    def answered(self) -> bool:
        return not math.isnan(self.ended)
