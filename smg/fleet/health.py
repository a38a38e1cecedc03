"""The health loop: asks every worker regularly and keeps its status true.

One timer and one heap for the whole fleet; a task exists only while a probe is under way, at most
128 of them. Traffic that meets a dead worker pulls its next probe forward.
Rules: routing-reliability 14.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, Timer
from smg.fleet.probe import Fetcher, check_health
from smg.fleet.settings import FleetSettings
from smg.fleet.verdict import Verdict
from smg.workers import Worker, WorkerEvent, WorkerRegistry, WorkerStatus

log = logging.getLogger(__name__)

MAX_PROBES = 128
FAST_SECS = 5.0  # at most, while a worker is in doubt
SLOW_SECS = 60.0  # at least, for one that is given up

Recovered = Callable[[Worker], Awaitable[None]]
Checked = Callable[[Worker, bool], None]


class Check:
    """What the loop remembers about one worker. `due` is when it is asked next, on the clock."""

    __slots__ = ("due", "in_doubt", "running", "started", "suspected", "verdict", "worker")

    def __init__(self, worker: Worker, verdict: Verdict) -> None:
        self.worker = worker
        self.verdict = verdict
        self.due = 0.0
        self.started = 0.0
        self.running = False  # a probe is under way, or waits for its turn
        self.in_doubt = False  # failed since it was last known good
        self.suspected = False  # traffic failed during the probe


class HealthMonitor:
    """Watches every registered worker from `start()` to `close()`.

    `recovered(worker)` runs before a worker that failed counts as good again; it may learn its
    models anew. `checked(worker, healthy)` is told each probe's result.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        fetcher: Fetcher,
        settings: FleetSettings,
        clock: Clock,
        *,
        recovered: Recovered | None = None,
        checked: Checked | None = None,
    ) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._recovered = recovered
        self._checked = checked
        self._fast = min(settings.health_interval, FAST_SECS)
        self._slow = max(settings.health_interval, SLOW_SECS)
        self._checks: dict[str, Check] = {}
        self._plan: list[tuple[float, int, Check]] = []  # may hold entries that no longer count
        self._serial = itertools.count()
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._waiting: deque[Check] = deque()
        self._running = 0
        self._tasks = TaskGroupOwner("health")
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin with the workers there are; does nothing when health checks are switched off."""
        if not self._settings.check_health or self._unsubscribe is not None:
            return
        self._unsubscribe = self._registry.subscribe(self._on_event)
        for worker in self._registry.all():
            self._watch(worker)

    async def close(self) -> None:
        """Stop; probes under way are cancelled and change nothing."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._checks.clear()
        self._plan.clear()
        self._waiting.clear()
        await self._tasks.close()

    def note_traffic_failure(self, worker: Worker) -> None:
        """A request could not reach `worker`, or timed out: look at it soon. Cheap."""
        check = self._checks.get(worker.id)
        if check is None:
            return
        if check.running:
            check.suspected = True
            return
        soon = self._clock.time() + self._fast
        if soon < check.due:
            self._schedule(check, soon)

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind == "added":
            self._watch(event.worker)
        elif event.kind == "removed":
            self._checks.pop(event.worker.id, None)

    def _watch(self, worker: Worker) -> None:
        settings = self._settings
        verdict = Verdict(settings.failure_threshold, settings.success_threshold)
        check = Check(worker, verdict)
        self._checks[worker.id] = check
        self._schedule(check, self._clock.time())

    # When

    def _schedule(self, check: Check, due: float) -> None:
        check.due = due
        heapq.heappush(self._plan, (due, next(self._serial), check))
        self._arm()

    def _arm(self) -> None:
        plan = self._plan
        while plan and not self._counts(plan[0]):
            heapq.heappop(plan)
        if not plan:
            return
        due = plan[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._clock.call_at(due, self._on_timer)

    def _counts(self, entry: tuple[float, int, Check]) -> bool:
        due, _, check = entry
        known = self._checks.get(check.worker.id) is check
        return known and due == check.due and not check.running

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.time()
        plan = self._plan
        while plan and plan[0][0] <= now:
            entry = heapq.heappop(plan)
            if self._counts(entry):
                check = entry[2]
                check.running = True
                self._waiting.append(check)
        self._start_probes()
        self._arm()

    def _start_probes(self) -> None:
        while self._waiting and self._running < MAX_PROBES:
            check = self._waiting.popleft()
            if self._checks.get(check.worker.id) is not check:
                continue
            self._running += 1
            task = self._tasks.start(self._probe(check), check.worker.url)
            task.add_done_callback(functools.partial(self._on_probed, check))

    # What

    async def _probe(self, check: Check) -> WorkerStatus:
        """Ask, count, and let a recovered worker be looked at; the status that follows."""
        worker = check.worker
        status = worker.status
        check.started = self._clock.time()
        if status is WorkerStatus.DRAINING:
            return status
        problem = await check_health(
            self._fetcher,
            worker,
            self._settings.health_endpoint,
            self._settings.health_timeout,
        )
        if self._checked is not None:
            self._checked(worker, problem is None)
        # While we waited it may have been drained, or removed; then the answer is out of date.
        if worker.status is not status or worker not in self._registry:
            return worker.status
        after = check.verdict.judge(status, problem is None)
        if problem is not None:
            check.in_doubt = True
            check.suspected = True
            self._log_problem(worker, problem, after)
        elif after is WorkerStatus.READY and check.in_doubt:
            if self._recovered is not None:
                await self._recovered(worker)
            check.in_doubt = False
        self._apply(worker, status, after)
        return after

    def _log_problem(self, worker: Worker, problem: str, after: WorkerStatus) -> None:
        changed = after is not worker.status
        log.log(
            logging.WARNING if changed else logging.INFO,
            "worker %s failed its health check: %s (status %s)",
            worker.url,
            problem,
            after.value,
        )

    def _apply(self, worker: Worker, before: WorkerStatus, after: WorkerStatus) -> None:
        if worker.status is not before or after is before:
            return
        if self._registry.set_status(worker, after) and after is WorkerStatus.READY:
            log.info("worker %s is ready again", worker.url)

    def _on_probed(self, check: Check, task: asyncio.Task[WorkerStatus]) -> None:
        self._running -= 1
        check.running = False
        if self._checks.get(check.worker.id) is check:
            # A probe that broke by our own fault was logged by the owner; ask again.
            suspected = check.suspected or task.cancelled() or task.exception() is not None
            self._schedule(check, self._next_due(check, suspected))
            check.suspected = False
        self._start_probes()

    def _next_due(self, check: Check, suspected: bool) -> float:
        """In doubt soon, given up rarely, else at the interval counted from the probe's start."""
        now = self._clock.time()
        status = check.worker.status
        if suspected:
            return now + (self._slow if status is WorkerStatus.FAILED else self._fast)
        if status in (WorkerStatus.READY, WorkerStatus.DRAINING):
            return max(now, check.started + self._settings.health_interval)
        # It just answered well but needs more of that to be ready: no reason to make it wait.
        return now + self._fast
