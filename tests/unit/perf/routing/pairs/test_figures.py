"""What is computed of pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perf.routing.figures import middle
from perf.routing.pairs.figures import PairFigures, Tally
from perf.routing.pairs.shapes import PairShape
from perf.routing.records import Record

SHAPE = PairShape("test", "", workers=2, decodes=3, sessions=2, turns=1, prefill_per_second=4_000.0)
RECORDS = [
    Record("s", 0, 0.0, 1.0, 3.0, "a", 1_000, 250, answer_tokens=41),
    Record("t", 0, 1.0, 1.5, 1.5, "a", 1_000, 0, answer_tokens=1),
]


def test_each_role_has_its_own() -> None:
    figures = PairFigures.of_pairs(RECORDS, SHAPE, [Tally(2, 2_000, 500), Tally()])
    assert figures.mean_ms == pytest.approx(750)
    assert figures.hit == pytest.approx(0.25)
    assert figures.decode_hit == pytest.approx(0.125)
    assert figures.prefill_spread == pytest.approx(2.0)
    assert figures.spread == pytest.approx(3.0)
    # 1,500 tokens of 4 characters at 4,000 characters/s on two workers, the last sent after 1 s
    assert figures.busy == pytest.approx(1.5 / 2)
    # an answer of one token has no pace
    assert figures.token_ms == figures.token_p99_ms == pytest.approx(50)


def test_nothing_asked_is_no_figure() -> None:
    figures = PairFigures.of_pairs([], SHAPE, [Tally(), Tally()])
    for value in (figures.hit, figures.decode_hit, figures.prefill_spread, figures.token_ms):
        assert value != value


def test_medians_keep_all_columns() -> None:
    one = PairFigures.of_pairs(RECORDS, SHAPE, [Tally(2, 2_000, 500), Tally()])
    some = [one, replace(one, token_ms=60.0), replace(one, token_ms=70.0)]
    assert middle(some).token_ms == 60.0
