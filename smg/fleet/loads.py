"""The load monitor: asks engines how busy they are, while somebody wants to know.

One timer for the whole fleet; each address has its own time to be asked, and at most 32 are asked
at once. What comes in is handed on in small batches, so that a slow worker makes nobody else's
figures old. Rules: routing-reliability 15.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, Timer
from smg.fleet.engine_gauges import EngineGauges
from smg.fleet.load_sources import LoadSources, base_url, own_report
from smg.workers import (
    UNKNOWN_MODEL,
    LoadReport,
    LoadReports,
    Worker,
    WorkerEvent,
    WorkerRegistry,
    WorkerStatus,
)

log = logging.getLogger(__name__)

AT_ONCE = 32
#: news of the fleet, and answers, are gathered for this long (seconds)
GATHER_SECS = 0.1
#: rounds that a policy may be without any report before the log says so
BLIND_ROUNDS = 3

INTERVAL = "load_monitor_interval_secs"
LEAST_SECS = 1.0

#: models whose policy reads load reports, each with the name of that policy
LoadAware = Callable[[], Iterable[tuple[str, str]]]


class Target:
    """One address that is asked: of a worker, or of several data-parallel ranks. `due` is when it
    is asked next; `heard`: it was, since the policies were last judged.
    """

    __slots__ = ("asking", "due", "heard", "interval", "workers")

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.interval = 0.0
        self.due = -math.inf
        self.asking = False
        self.heard = False


class LoadMonitor:
    """Publishes to `reports` from `start()` to `close()`.

    `needed()` says whether anybody wants reports; nobody is asked while it is false. `interval` is
    in seconds; a worker's label `load_monitor_interval_secs` overrides it for its group: all
    workers of the same model, role and transport.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        sources: LoadSources,
        reports: LoadReports,
        clock: Clock,
        *,
        interval: float,
        needed: Callable[[], bool],
        load_aware: LoadAware = tuple,
        gauges: EngineGauges | None = None,
    ) -> None:
        self._registry = registry
        self._sources = sources
        self._reports = reports
        self._clock = clock
        self._interval = interval
        self._needed = needed
        self._load_aware = load_aware
        self._gauges = gauges
        self._targets: dict[str, Target] = {}  # by base URL
        self._by_model: dict[str, list[Target]] = {}
        self._fleet_changed = True
        self._look_timer: Timer | None = None
        self._look_at = 0.0
        self._queue: deque[Target] = deque()
        self._askers = 0
        self._fresh: dict[str, tuple[Worker, LoadReport]] = {}  # not published yet
        self._lost: set[str] = set()
        self._publish_timer: Timer | None = None
        self._judge_at = 0.0
        self._blind: dict[tuple[str, str], int] = {}  # rounds without a report
        self._warned: set[tuple[str, str]] = set()
        self._tasks = TaskGroupOwner("loads")
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin with the workers there are."""
        self._unsubscribe = self._registry.subscribe(self._on_event)
        self._look_soon(0.0)

    async def close(self) -> None:
        """Stop; questions under way are cancelled and change nothing."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for timer in (self._look_timer, self._publish_timer):
            if timer is not None:
                timer.cancel()
        self._look_timer = self._publish_timer = None
        self._queue.clear()
        await self._tasks.close()

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        if event.kind == "removed" or worker.status is not WorkerStatus.READY:
            self._gather(worker, None)
        self._fleet_changed = True
        self._look_soon(GATHER_SECS)

    # When

    def _look_soon(self, delay: float) -> None:
        when = self._clock.time() + delay
        if self._look_timer is not None:
            if self._look_at <= when:
                return
            self._look_timer.cancel()
        self._look_at = when
        self._look_timer = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        """Whose time has come?"""
        self._look_timer = None
        now = self._clock.time()
        soonest = now + self._interval
        if self._needed():
            if self._fleet_changed:
                self._regroup()
            for target in self._targets.values():
                if target.due <= now and not target.asking:
                    target.due = now + target.interval
                    target.asking = True
                    self._queue.append(target)
                if target.due > now:
                    soonest = min(soonest, target.due)
            if now >= self._judge_at:
                self._judge_at = now + self._interval
                self._judge()
            self._start_askers()
        else:
            self._rest()
        self._look_soon(soonest - now)

    def _rest(self) -> None:
        """Nobody wants to know: keep nothing that grows old, begin anew when somebody does."""
        self._fresh.clear()
        self._publish({}, set(self._reports))
        self._targets.clear()
        self._by_model.clear()
        self._queue.clear()
        self._fleet_changed = True

    # Whom

    def _regroup(self) -> None:
        self._fleet_changed = False
        known, self._targets = self._targets, {}
        groups: dict[tuple[str, str], list[Target]] = {}
        self._by_model = {UNKNOWN_MODEL: []}
        for worker in self._registry.all():
            if worker.status is not WorkerStatus.READY or worker.connection_mode != "http":
                continue
            base = base_url(worker.url)
            target = self._targets.get(base)
            if target is None:
                target = self._targets[base] = known.get(base) or Target()
                target.workers = []
                target.interval = math.inf
            target.workers.append(worker)
            self._by_model[UNKNOWN_MODEL].append(target)
            for model in worker.model_ids:
                groups.setdefault((model, worker.worker_type), []).append(target)
                if model != UNKNOWN_MODEL:
                    self._by_model.setdefault(model, []).append(target)
        for members in groups.values():
            interval = self._group_interval(members)
            for target in members:
                target.interval = min(target.interval, interval)

    def _group_interval(self, members: Iterable[Target]) -> float:
        overrides = [
            seconds
            for target in members
            for worker in target.workers
            if (seconds := _override(worker)) is not None
        ]
        return min(overrides, default=self._interval)

    # What

    def _start_askers(self) -> None:
        for _ in range(min(len(self._queue), AT_ONCE - self._askers)):
            self._askers += 1
            self._tasks.start(self._ask_queued(), "ask")

    async def _ask_queued(self) -> None:
        try:
            while self._queue:
                await self._ask(self._queue.popleft())
        finally:
            self._askers -= 1

    async def _ask(self, target: Target) -> None:
        worker = target.workers[0]
        try:
            said = await self._sources.ask(worker)
        finally:
            target.asking = False
        # While we waited everything may have changed; who left must not get a report again.
        if self._targets.get(base_url(worker.url)) is not target:
            return
        if said.report is None:
            log.debug("worker %s reports no load: %s", worker.url, said.problem)
        target.heard = True
        for worker in target.workers:
            if worker.status is WorkerStatus.READY and worker in self._registry:
                self._gather(worker, own_report(worker.url, said.report))
        if (
            target.due <= self._clock.time()
        ):  # it took longer than its interval, so nobody looks after it
            self._look_soon(GATHER_SECS)

    def _gather(self, worker: Worker, report: LoadReport | None) -> None:
        url = worker.url
        if report is not None:
            self._fresh[url] = (worker, report)
        elif self._fresh.pop(url, None) is None and self._reports.get(url) is None:
            return
        else:
            self._lost.add(url)
        if self._publish_timer is None:
            when = self._clock.time() + GATHER_SECS
            self._publish_timer = self._clock.call_at(when, self._publish_gathered)

    def _publish_gathered(self) -> None:
        self._publish_timer = None
        fresh, self._fresh = self._fresh, {}
        lost, self._lost = self._lost, set()
        self._publish(fresh, lost.difference(fresh))

    def _publish(self, fresh: dict[str, tuple[Worker, LoadReport]], lost: Iterable[str]) -> None:
        dropped = frozenset(url for url in lost if self._reports.get(url) is not None)
        if not fresh and not dropped:
            return
        found = {url: report for url, (_, report) in fresh.items()}
        self._reports.publish(found, dropped=dropped)
        if self._gauges is not None:
            for url in dropped:
                self._gauges.hide(url)
            for worker, report in fresh.values():
                self._gauges.show(worker, report)

    # Policies without sight

    def _judge(self) -> None:
        """A policy that wants reports and gets none decides by less than its name says: tell."""
        blind: dict[tuple[str, str], int] = {}
        for pair in self._load_aware():
            if pair in self._warned:
                continue
            model, policy = pair
            targets = self._by_model.get(model, ())
            if any(self._reports.get(w.url) for target in targets for w in target.workers):
                continue
            rounds = self._blind.get(pair, 0) + any(target.heard for target in targets)
            if rounds < BLIND_ROUNDS:
                blind[pair] = rounds
                continue
            self._warned.add(pair)
            log.warning(
                "policy %s of model %s runs on this gateway's own counts only:"
                " no worker reports load",
                policy,
                model,
            )
        self._blind = blind
        for target in self._targets.values():
            target.heard = False


def _override(worker: Worker) -> float | None:
    """The worker's own interval in seconds, if it has a usable one."""
    said = getattr(worker, INTERVAL, None) or worker.labels.get(INTERVAL)
    if said is None:
        return None
    try:
        seconds = float(said)
    except (TypeError, ValueError):
        return None
    return max(seconds, LEAST_SECS) if 0 < seconds < math.inf else None
