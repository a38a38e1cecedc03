"""What a run of one shape comes to under two policies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from perf.routing.figures import Figures, spread
from perf.routing.pairs.shapes import PairShape
from perf.routing.records import Record
from perf.stats import percentile
from smg.sim.cache import CHARACTERS_PER_TOKEN


@dataclass
class Tally:
    """What one prefill worker was given."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def count(self, prompt_tokens: int, cached_tokens: int) -> None:
        self.requests += 1
        self.prompt_tokens += prompt_tokens
        self.cached_tokens += cached_tokens


@dataclass(frozen=True)
class PairFigures(Figures):
    """What is inherited is of the decode workers, who answer; but `hit` and `busy` are prefill's.

    `prefill_spread` is as `spread`. `decode_hit`: share of the prompt tokens that the decode worker
    held already. `token_ms`: time between two tokens of an answer, mean over all answers; and its
    p99 among the answers. `peak` counts from asking on, so it is the load that policies see.
    """

    prefill_spread: float
    decode_hit: float
    token_ms: float
    token_p99_ms: float

    @classmethod
    def of_pairs(
        cls, records: Sequence[Record], shape: PairShape, tallies: Sequence[Tally]
    ) -> PairFigures:
        """`tallies`: of all prefill workers, also of those that were given nothing."""
        of_decode = Figures.of(records, replace(shape, workers=shape.decodes))
        asked = sum(tally.prompt_tokens for tally in tallies)
        cached = sum(tally.cached_tokens for tally in tallies)
        read_seconds = (asked - cached) * CHARACTERS_PER_TOKEN / shape.prefill_per_second
        last_sent = max((record.sent for record in records), default=0.0)
        paces = [
            (record.ended - record.first) / (record.answer_tokens - 1) * 1e3
            for record in records
            if record.answered and record.answer_tokens > 1
        ]
        values = asdict(of_decode)
        values["hit"] = cached / asked if asked else math.nan
        values["busy"] = read_seconds / shape.workers / last_sent if last_sent else math.nan
        return cls(
            **values,
            prefill_spread=spread([tally.requests for tally in tallies]),
            decode_hit=of_decode.hit,
            token_ms=sum(paces) / len(paces) if paces else math.nan,
            token_p99_ms=percentile(paces, 99),
        )
