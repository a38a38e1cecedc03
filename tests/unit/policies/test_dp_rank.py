"""The rank with the fewest tokens (routing-reliability 4.4)."""

from __future__ import annotations

from typing import Any

import pytest

from smg.policies.dp_rank import MinimumTokens, estimated_tokens
from smg.workers import LoadReport, LoadReports, RankLoad
from tests.doubles.routing import View

URL = "http://w:1"


def publish(reports: LoadReports, *used: int | None, size: int | None = 100, **more: Any) -> None:
    ranks = tuple(
        RankLoad(rank, used_tokens=tokens, max_tokens=size, **more)
        for rank, tokens in enumerate(used)
    )
    reports.publish({URL: LoadReport(ranks)}, dropped=frozenset())


def test_fewest_tokens_then_lowest_number() -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    publish(reports, 30, 10, 10)
    assert ranks.choose(URL, 15) == 1
    assert ranks.choose(URL, 30) == 2
    assert ranks.choose(URL, 5) == 1
    assert ranks.choose(URL, 1) == 0  # 30, 30, 40
    assert ranks.choose(URL, 1) == 1


def test_a_request_costs_at_least_one() -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    publish(reports, 0, 0)
    assert [ranks.choose(URL, 0) for _ in range(4)] == [0, 1, 0, 1]


def test_a_report_replaces_what_was_counted() -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    publish(reports, 0, 5)
    ranks.choose(URL, 100)
    publish(reports, 0, 5)
    assert ranks.choose(URL, 1) == 0


def test_a_lost_report_leaves_the_figures() -> None:
    reports = LoadReports()
    publish(reports, 9, 5)
    ranks = MinimumTokens(reports)  # knows what was published before
    reports.publish({}, dropped=frozenset({URL}))
    assert ranks.choose(URL, 1) == 1
    publish(reports, None, None)
    assert ranks.choose(URL, 1) == 1
    ranks.forget(URL)
    ranks.forget(URL)
    assert ranks.choose(URL, 1) is None


@pytest.mark.parametrize("size", [0, None])
def test_only_absolute_figures_count(size: int | None) -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    publish(reports, 3, 4, size=size)
    assert ranks.choose(URL, 1) is None


def test_ranks_that_say_nothing_are_left_out() -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    publish(reports, None, 4)
    assert [ranks.choose(URL, 1000) for _ in range(2)] == [1, 1]


def test_closed() -> None:
    reports = LoadReports()
    ranks = MinimumTokens(reports)
    ranks.close()
    publish(reports, 3, 4)
    assert ranks.choose(URL, 1) is None


@pytest.mark.parametrize(
    ("view", "tokens"),
    [
        (View(tokens=[1, 2, 3]), 3),
        (View("ten words " * 5), 13),
        (View("three small words"), 4),
        (View("  "), 1),
        (View(tokens=[]), 1),
    ],
)
def test_estimated_tokens(view: View, tokens: int) -> None:
    assert estimated_tokens(view) == tokens
