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
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, Timer
from smg.fleet.health_settings import HealthSettings
from smg.fleet.probe import Fetcher, check_health
from smg.fleet.settings import FleetSettings
from smg.fleet.verdict import Verdict
from smg.workers import Worker, WorkerEvent, WorkerRegistry, WorkerStatus

log = logging.getLogger(__name__)

MAX_PROBES = 128
STALE = 64  # entries of the plan that may be left over, besides one per worker

Recovered = Callable[[Worker], Awaitable[None]]
Checked = Callable[[Worker, bool], None]
RemoveFailed = Callable[[Worker], None]


class Question(NamedTuple):
    """One request. Workers that would ask the same at the same time, ranks of one address, share
    the answer.
    """

    base_url: str
    api_key: str | None
    timeout: float


class Check:
    """What the loop remembers about one worker, under one revision of it.

    Times are on the clock; `due` is when the worker is asked next.
    """

    __slots__ = (
        *("asked_as", "due", "ended", "in_doubt", "question", "running", "settings", "started"),
        *("suspected", "verdict", "worker"),
    )

    def __init__(self, worker: Worker, settings: HealthSettings, verdict: Verdict) -> None:
        self.worker = worker
        self.settings = settings
        self.verdict = verdict
        self.question = Question(worker.base_url, worker.api_key, settings.timeout)
        self.due = 0.0
        self.started = -math.inf
        self.ended = -math.inf
        self.running = False  # a probe is under way, or waits for its turn
        self.asked_as = (worker.revision, worker.status)  # when the last probe began
        self.in_doubt = False  # failed since it was last known good
        self.suspected = False  # the last probe failed, or traffic since it began


class HealthMonitor:
    """Watches every registered worker from `start()` to `close()`, under the worker's own health
    settings; a worker whose checks are off is made `ready`.

    `recovered(worker)` runs before a worker that failed counts as good again; it may learn its
    models anew. `checked(worker, healthy)` is told each probe's result. `remove_failed(worker)`
    gets a worker that has just become `failed`, and sees to its removal; it may remove at once.
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
        remove_failed: RemoveFailed | None = None,
    ) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._recovered = recovered
        self._checked = checked
        self._remove_failed = remove_failed
        self._checks: dict[str, Check] = {}
        self._plan: list[tuple[float, int, Check]] = []  # may hold entries that no longer count
        self._serial = itertools.count()
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._waiting: dict[Question, list[Check]] = {}  # in the order they are asked
        self._running = 0
        self._tasks = TaskGroupOwner("health")
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin with the workers there are."""
        if self._unsubscribe is not None:
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

    def configure(self, settings: FleetSettings) -> None:
        """Obey other flags, at once and for every worker."""
        self._settings = settings
        for check in list(self._checks.values()):
            self._follow(check)

    def note_traffic_failure(self, worker: Worker) -> None:
        """A request could not reach `worker`, or timed out: look at it soon. Cheap."""
        check = self._checks.get(worker.id)
        if check is None or not check.settings.enabled:
            return
        check.suspected = True
        soon = self._clock.time() + check.settings.fast
        if soon < check.due and not check.running:
            self._schedule(check, soon)

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        if event.kind == "added":
            self._watch(worker)
        elif event.kind == "removed":
            self._checks.pop(worker.id, None)
        elif (check := self._checks.get(worker.id)) is None:
            return
        elif event.kind == "changed":
            self._follow(check)
        elif event.kind == "status":
            check.verdict.reset()

    def _watch(self, worker: Worker) -> None:
        settings = HealthSettings.of(worker, self._settings)
        verdict = Verdict(settings.failure_threshold, settings.success_threshold)
        self._put(Check(worker, settings, verdict), self._clock.time())

    def _follow(self, old: Check) -> None:
        """The worker was changed. With a new `Check` a probe under way is one of the past."""
        settings = HealthSettings.of(old.worker, self._settings)
        if not (old.settings.enabled and settings.enabled):
            self._watch(old.worker)
            return
        old.verdict.failure_threshold = settings.failure_threshold
        old.verdict.success_threshold = settings.success_threshold
        check = Check(old.worker, settings, old.verdict)
        check.started, check.ended = old.started, old.ended
        check.in_doubt, check.suspected = old.in_doubt, old.suspected
        asked_otherwise = old.running or old.question != check.question
        self._put(check, self._clock.time() if asked_otherwise else self._next_due(check))

    def _put(self, check: Check, due: float) -> None:
        self._checks[check.worker.id] = check
        self._schedule(check, due)

    # When

    def _schedule(self, check: Check, due: float) -> None:
        check.due = due
        heapq.heappush(self._plan, (due, next(self._serial), check))
        if len(self._plan) > 2 * len(self._checks) + STALE:
            self._plan = [entry for entry in self._plan if self._counts(entry)]
            heapq.heapify(self._plan)
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
        return self._is_known(check) and due == check.due and not check.running

    def _is_known(self, check: Check) -> bool:
        return self._checks.get(check.worker.id) is check

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.time()
        while self._plan and self._plan[0][0] <= now:
            entry = heapq.heappop(self._plan)
            if self._counts(entry):
                self._come(entry[2], now)
        self._start_probes()
        self._arm()

    def _come(self, check: Check, now: float) -> None:
        """It is the turn of `check`."""
        worker = check.worker
        if worker.status is WorkerStatus.DRAINING:
            self._schedule(check, now + check.settings.interval)
        elif not check.settings.enabled:
            check.due = math.inf
            self._set_status(worker, WorkerStatus.READY)
        else:
            check.running = True
            self._waiting.setdefault(check.question, []).append(check)

    def _start_probes(self) -> None:
        while self._waiting and self._running < MAX_PROBES:
            question = next(iter(self._waiting))
            checks = [check for check in self._waiting.pop(question) if self._is_known(check)]
            if not checks:
                continue
            self._running += 1
            task = self._tasks.start(self._probe(question, checks), question.base_url)
            task.add_done_callback(functools.partial(self._on_probed, checks))

    def _on_probed(self, checks: Sequence[Check], task: asyncio.Task[None]) -> None:
        self._running -= 1
        broken = task.cancelled() or task.exception() is not None
        now = self._clock.time()
        for check in checks:
            check.running = False
            check.ended = now
            # A probe that broke by our own fault was logged by the owner; ask again.
            check.suspected = check.suspected or broken
            if self._is_known(check):
                self._schedule(check, self._next_due(check))
        self._start_probes()

    def _next_due(self, check: Check) -> float:
        """In doubt soon, given up rarely, else at the interval counted from the probe's start."""
        settings = check.settings
        status = check.worker.status
        if check.suspected:
            pause = settings.slow if status is WorkerStatus.FAILED else settings.fast
            due = check.ended + pause
        elif status in (WorkerStatus.READY, WorkerStatus.DRAINING):
            due = check.started + settings.interval
        else:
            # It just answered well but needs more of that to be ready: no reason to make it wait.
            due = check.ended + settings.fast
        return max(self._clock.time(), due)

    # What

    async def _probe(self, question: Question, checks: Sequence[Check]) -> None:
        """Ask, count, and let recovered workers be looked at."""
        started = self._clock.time()
        for check in checks:
            check.started = started
            check.suspected = False
            check.asked_as = (check.worker.revision, check.worker.status)
        problem = await check_health(
            self._fetcher,
            question,
            self._settings.health_endpoint,
            question.timeout,
        )
        back = [check for check in checks if self._learn(check, problem)]
        if back:
            results = await asyncio.gather(*map(self._bring_back, back), return_exceptions=True)
            for error in filter(None, results):
                raise error

    def _is_current(self, check: Check) -> bool:
        """While we waited the worker may have been changed, drained or removed; then the answer is
        out of date.
        """
        worker = check.worker
        return self._is_known(check) and check.asked_as == (worker.revision, worker.status)

    def _learn(self, check: Check, problem: str | None) -> bool:
        """Count an answer. True if the worker recovered and must still be looked at."""
        worker = check.worker
        if self._checked is not None:
            self._checked(worker, problem is None)
        if not self._is_current(check):
            return False
        after = check.verdict.judge(worker.status, problem is None)
        if problem is not None:
            check.in_doubt = True
            check.suspected = True
            self._fail(worker, after, problem)
        elif after is WorkerStatus.READY and check.in_doubt:
            return True
        else:
            self._set_status(worker, after)
        return False

    async def _bring_back(self, check: Check) -> None:
        if self._recovered is not None:
            await self._recovered(check.worker)
        if self._is_current(check):
            check.in_doubt = False
            self._set_status(check.worker, WorkerStatus.READY)

    def _fail(self, worker: Worker, after: WorkerStatus, problem: str) -> None:
        changed = after is not worker.status
        lost = changed and after is WorkerStatus.FAILED
        remove = self._remove_failed if lost else None
        log.log(
            logging.WARNING if changed else logging.INFO,
            "worker %s failed its health check: %s (status %s)%s",
            worker.url,
            problem,
            after.value,
            "; it is removed" if remove is not None else "",
        )
        self._set_status(worker, after)
        if remove is not None:
            remove(worker)

    def _set_status(self, worker: Worker, status: WorkerStatus) -> None:
        if self._registry.set_status(worker, status) and status is WorkerStatus.READY:
            log.info("worker %s is ready", worker.url)
