"""How loaded each worker is, for policies that compare workers (routing-reliability 4.2).

Where the engine reports its load, the score is an estimate of how many seconds a new request waits
there; between two reports every request that was sent is added. Where nobody reports, it is the
requests in flight through this gateway. Figures follow the reports as these come; a request only
reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from smg._speedups.scores import Figures, Lineup

if TYPE_CHECKING:
    from smg.policies.base import PolicyContext, RoutingView
    from smg.workers import LoadReport, Worker

#: a KV cache that is full would make the wait endless
FULLEST = 0.999


class LoadScores:
    """The figures of one policy, and the line-ups of the two tuples of workers asked for last.

    Two, because a repeated attempt brings a tuple of its own and must not push out the one that all
    other requests share.
    """

    def __init__(self, context: PolicyContext) -> None:
        config = context.config
        self._reports = context.reports
        self._loads = context.loads
        self._random = context.random.random
        self._kv_weight = config.least_load_kv_pressure_weight
        self._mean_tokens = float(config.least_load_mean_prefill_tokens)
        self._figures = Figures(self._mean_tokens, config.least_load_default_throughput)
        self._places: dict[str, int] = {}  # by URL
        #: of candidates that the policy was not told of: they never have a report
        self._nowhere = self._figures.attach()
        self._reported: set[str] = set()
        self._unsubscribe: Callable[[], None] | None = None
        # With their tuples: while one is held, nothing else can have its identity.
        self._latest: tuple[Sequence[Worker] | None, Lineup] = (None, self._prepared(()))
        self._older: tuple[Sequence[Worker] | None, Lineup] = self._latest

    # Who there is

    def add(self, worker: Worker) -> None:
        """From now on follow the reports of `worker`."""
        if worker.url in self._places:
            return
        # Not earlier: a policy that is made and thrown away must leave nothing behind.
        if self._unsubscribe is None:
            self._unsubscribe = self._reports.subscribe(self._renewed)
        self._places[worker.url] = self._figures.attach()
        self._take(worker.url)
        self._forget_lineups()

    def remove(self, worker: Worker) -> None:
        """Forget a worker and what was credited to it."""
        place = self._places.pop(worker.url, None)
        if place is not None:
            self._reported.discard(worker.url)
            self._figures.detach(place)
            self._forget_lineups()

    def close(self) -> None:
        """Follow the reports no longer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    # Reports

    def _renewed(self, urls: frozenset[str]) -> None:
        for url in urls & self._places.keys():
            self._take(url)
        for url in self._reported - urls:
            if self._reports.get(url) is None:
                self._reported.discard(url)
                self._figures.drop(self._places[url])

    def _take(self, url: str) -> None:
        report = self._reports.get(url)
        if report is not None:
            self._reported.add(url)
            self._apply(self._places[url], report)

    def _apply(self, place: int, report: LoadReport) -> None:
        waiting = uncached = 0
        throughput = 0.0
        for rank in report.ranks:
            waiting += rank.waiting_requests or 0
            uncached += rank.waiting_uncached_tokens or 0
            throughput += rank.gen_throughput or 0.0
        usage = min(report.token_usage or 0.0, FULLEST)
        self._figures.report(
            place,
            uncached if uncached > 0 else waiting * self._mean_tokens,
            waiting,
            throughput,
            self._kv_weight * usage / (1.0 - usage),
        )

    # Requests

    def of(self, workers: Sequence[Worker]) -> Lineup:
        """The scores of `workers`; position N is `workers[N]`."""
        latest = self._latest
        if workers is latest[0]:
            return latest[1]
        if workers is self._older[0]:
            self._latest, self._older = self._older, latest
            return self._latest[1]
        fresh = self._prepared(workers)
        # A list may change under its identity.
        if workers.__class__ is tuple:
            self._latest, self._older = (workers, fresh), latest
        return fresh

    def _prepared(self, workers: Sequence[Worker]) -> Lineup:
        known, nowhere = self._places, self._nowhere
        places = [known.get(worker.url, nowhere) for worker in workers]
        slots = [worker.slot for worker in workers]
        return Lineup(self._figures, self._loads, self._random, places, slots)

    def _forget_lineups(self) -> None:
        self._latest = self._older = (None, self._prepared(()))

    def sent(self, lineup: Lineup, position: int, view: RoutingView) -> None:
        """A request goes to the worker at `position`: count it until that one's next report."""
        if lineup.reported(position):
            tokens = view.tokens()
            # Never nothing: a prompt of unknown length would draw every request to one worker.
            lineup.credit(position, len(tokens) if tokens else self._mean_tokens)
