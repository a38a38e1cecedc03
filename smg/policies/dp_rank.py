"""Which data-parallel rank of a chosen worker takes a request (`--dp-minimum-tokens-scheduler`).

The one with the fewest tokens in its KV cache, by the worker's last report that gives absolute
figures and what was sent since. Rule: routing-reliability 4.4. Not a policy: it comes after one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.policies.base import RoutingView
    from smg.workers import LoadReport, LoadReports

#: tokens that a word has on average, where there is only text to go by
TOKENS_PER_WORD = 1.3


class MinimumTokens:
    """Tokens in use by worker URL and rank. A worker whose report is lost keeps its last figures:
    they still tell its ranks apart better than nothing.
    """

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports
        self._ranks: dict[str, dict[int, int]] = {}
        self.close: Callable[[], None] = reports.subscribe(self._renewed)
        self._renewed(frozenset(reports))

    def choose(self, url: str, tokens: int) -> int | None:
        """The rank of the worker at `url` for a request of `tokens` tokens, which counts there from
        now on; None if nothing is known of its ranks.
        """
        ranks = self._ranks.get(url)
        if not ranks:
            return None
        rank = min(ranks, key=lambda number: (ranks[number], number))
        ranks[rank] += max(tokens, 1)
        return rank

    def forget(self, url: str) -> None:
        """The worker at `url` is gone."""
        self._ranks.pop(url, None)

    def _renewed(self, urls: frozenset[str]) -> None:
        for url in urls:
            report = self._reports.get(url)
            ranks = _used_tokens(report) if report is not None else None
            if ranks:
                self._ranks[url] = ranks


def estimated_tokens(view: RoutingView) -> int:
    """How many tokens a request has: counted if it brings them, else by its words; at least 1."""
    tokens = view.tokens()
    if tokens:
        return len(tokens)
    return max(1, math.ceil(len(view.text().split()) * TOKENS_PER_WORD))


def _used_tokens(report: LoadReport) -> dict[int, int]:
    # Engines that give no size of their cache give no meaningful use of it either.
    return {
        rank.dp_rank: rank.used_tokens
        for rank in report.ranks
        if rank.max_tokens and rank.used_tokens is not None
    }
