"""Prompts of like length share a worker, so that short ones do not wait behind long ones.

For the prefill leg only. The range of lengths is cut so that every worker gets the same number of
tokens (or characters), and cut anew as traffic changes. Rules: routing-reliability 4.3; 30, row 19.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.candidates import CandidateCache

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg._speedups.loads import Candidates
    from smg.workers import Worker

INITIAL_RANGE = 4096  # lengths that are told apart before anything was seen
MAX_REMEMBERED = 65_536  # requests; bounds memory and the cost of cutting anew
_MAX_CUTS = 8  # fleet sizes whose cuts are kept: health flaps and repeated attempts


class Bucket(Policy):
    """One range of lengths per available worker, in order of registration.

    Ranges are made for whoever is available, so that none belongs to a worker that may not be
    chosen.
    """

    name = "bucket"
    needs_text = True

    def __init__(self, context: PolicyContext | None = None) -> None:
        context = context or PolicyContext()
        config = context.config
        self._random = context.random.random
        self._clock = context.clock
        self._interval = config.bucket_adjust_interval_secs  # also how long a request is remembered
        self._slack = config.balance_abs_threshold  # tokens or characters
        self._factor = config.balance_rel_threshold
        self._prepared = CandidateCache(context.loads)
        self._sums = Sums()
        #: (when, whose, weighted length, length), oldest first
        self._recent: deque[tuple[float, Worker, int, int]] = deque()
        self._volume = 0  # sum of all lengths in there
        self._adjusted = self._clock()
        self._volume_then = 0
        #: by number of workers: upper ends of all ranges but the last
        self._cuts: dict[int, list[int]] = {}
        #: lengths at the last adjustment, ascending, and their running sums
        self._lengths: list[int] = []
        self._totals: list[int] = []

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        """ConfigError anywhere but on the prefill leg."""
        if context.leg != "prefill":
            raise ConfigError(
                [
                    "--policy bucket: only as prefill policy"
                    " (--prefill-policy bucket with --pd-disaggregation)"
                ]
            )
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The range's worker, or the one with the least given to it if the spread is too wide."""
        if not workers:
            return None
        now = self._clock()
        self._expire(now)
        if now - self._adjusted >= self._interval:
            self._adjust(now)
        tokens = view.tokens()
        length = len(tokens) if tokens else len(view.text())
        candidates = self._prepared.of(workers)
        worker = self._out_of_balance(candidates) or self._by_length(workers, length)
        self._remember(now, worker, length)
        return worker

    def _out_of_balance(self, candidates: Candidates) -> Worker | None:
        """Who was given the least lately, if somebody else was given far too much."""
        least, low = self._sums.lowest(candidates)
        high = self._sums.highest(candidates)
        if high - low > self._slack and high > self._factor * low:
            return least
        return None

    def _by_length(self, workers: Sequence[Worker], length: int) -> Worker:
        count = len(workers)
        if not length:
            return workers[int(self._random() * count)]
        cuts = self._cuts.get(count)
        if cuts is None:
            cuts = self._cut(count)
        # Lengths that many requests share end several ranges; all of these take them.
        low, high = bisect_left(cuts, length), bisect_right(cuts, length)
        if high > low:
            low += int(self._random() * (high - low + 1))
        return workers[low]

    def _cut(self, count: int) -> list[int]:
        if len(self._cuts) >= _MAX_CUTS:
            self._cuts.clear()
        if self._totals:
            share = self._totals[-1] / count
            cuts = [
                self._lengths[bisect_left(self._totals, share * number)]
                for number in range(1, count)
            ]
        else:
            cuts = [INITIAL_RANGE * number // count for number in range(1, count)]
        self._cuts[count] = cuts
        return cuts

    def _adjust(self, now: float) -> None:
        """Cut anew, if the traffic has doubled or halved since the last time."""
        self._adjusted = now
        volume, then = self._volume, self._volume_then
        if volume and (volume > 2 * then or then > 2 * volume):
            self._volume_then = volume
            self._lengths = sorted(entry[3] for entry in self._recent if entry[3])
            self._totals = list(accumulate(self._lengths))
            self._cuts.clear()

    def _remember(self, now: float, worker: Worker, length: int) -> None:
        # A request without a prompt is a request all the same.
        weight = max(1, round(length * worker.cost))
        self._recent.append((now, worker, weight, length))
        self._volume += length
        self._sums.add(worker, weight)
        if len(self._recent) > MAX_REMEMBERED:
            self._drop_oldest()

    def _expire(self, now: float) -> None:
        before = now - self._interval
        while self._recent and self._recent[0][0] <= before:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, worker, weight, length = self._recent.popleft()
        self._volume -= length
        self._sums.add(worker, -weight)

    def worker_added(self, worker: Worker) -> None:
        """Nothing was given to it yet."""
        self._sums.add(worker, 0)

    def worker_removed(self, worker: Worker) -> None:
        """Forget what was given to it."""
        self._recent = deque(entry for entry in self._recent if entry[1] is not worker)
        self._volume = sum(entry[3] for entry in self._recent)
        self._sums.remove(worker)
        self._prepared.clear()


class Sums:
    """A number per worker, kept in order: lowest and highest cost no walk over the fleet."""

    def __init__(self) -> None:
        self._sums: dict[int, int] = {}  # by slot
        self._ordered: list[tuple[int, int]] = []  # (sum, slot), ascending
        self._workers: dict[int, Worker] = {}

    def add(self, worker: Worker, amount: int) -> None:
        """Add to a worker's number, which is 0 at first."""
        slot = worker.slot
        before = self._sums.get(slot)
        if before is not None:
            if not amount:
                return
            del self._ordered[bisect_left(self._ordered, (before, slot))]
        self._workers[slot] = worker
        self._sums[slot] = after = (before or 0) + amount
        insort(self._ordered, (after, slot))

    def remove(self, worker: Worker) -> None:
        """Forget a worker."""
        before = self._sums.pop(worker.slot, None)
        if before is not None:
            del self._ordered[bisect_left(self._ordered, (before, worker.slot))]
            del self._workers[worker.slot]

    def lowest(self, candidates: Candidates) -> tuple[Worker | None, int]:
        """The candidate with the lowest number."""
        for amount, slot in self._ordered:
            if candidates.place(slot) >= 0:
                return self._workers[slot], amount
        return None, 0

    def highest(self, candidates: Candidates) -> int:
        """The highest number of a candidate."""
        for amount, slot in reversed(self._ordered):
            if candidates.place(slot) >= 0:
                return amount
        return 0
