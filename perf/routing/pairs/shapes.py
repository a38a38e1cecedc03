"""Workload shapes for pairs: the chats of `perf.routing.shapes` where they make sense, and some of
their own. Units are the same. No worker is lost here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from perf.routing.shapes import SHAPES, Shape


@dataclass(frozen=True)
class PairShape(Shape):
    """What `Shape` says of workers is of prefill workers, but for `token_ms`, which is decode's.

    `transfer_per_second`: characters of prompt whose KV cache one decode worker takes over in a
    second. `decode_cache_blocks`: its prefix cache; what it holds is not transferred (vLLM does it;
    SGLang keeps none at decode workers by default: 0). `slowdown`: share of `token_ms` by which
    each other answer at the same worker delays a token. `places`: answers that a decode worker
    speaks at once, others wait; 0 = no limit.
    """

    answer_tokens: int = 20
    engine: str = "sglang"
    decodes: int = 4
    transfer_per_second: float = 400_000.0
    decode_cache_blocks: int = 0
    slowdown: float = 0.05
    places: int = 0


def pairs_of(like: str, **changes: Any) -> PairShape:
    """The sessions and caches of a shape of single workers."""
    values = asdict(SHAPES[like])
    del values["answer_tokens"]
    return PairShape(**{**values, **changes})


PAIR_SHAPES: dict[str, PairShape] = {
    shape.name: shape
    for shape in (
        pairs_of("baseline", title="24 sessions at once in 4 prompt groups, 4 + 4 workers"),
        pairs_of("many-groups"),
        pairs_of("one-prompt"),
        pairs_of("no-sharing"),
        pairs_of("open-loop"),
        PairShape(
            "long-answers",
            "every eighth answer has 200 tokens, the others 20; a decode worker speaks 8 at once",
            sessions=96,
            turns=4,
            group_characters=1_000,
            question_characters=(200, 800),
            long_answers=0.125,
            long_answer_tokens=200,
            at_once=32,
            places=8,
        ),
        pairs_of(
            "long-context",
            name="documents",
            title="conversations about a document of their own over a slow link; decode (vLLM)"
            " keeps what it has",
            engine="vllm",
            decode_cache_blocks=2_500,
            transfer_per_second=100_000.0,
        ),
    )
}
