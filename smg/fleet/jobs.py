"""Background jobs of the control plane: bounded, visible, in order per subject.

A job belongs to a key (a worker's URL); jobs of one key run one after the other. At most
`concurrency` jobs work at once; one that only waits (`Job.sleep`) lends its place to others, so
that a thousand workers that are still starting keep nobody from being registered. Rules: http-api
16.4.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, Timer, sleep

log = logging.getLogger(__name__)

KEEP_FAILED_SECS = 300.0
MOST_FAILED = 10_000  # records of failed jobs; the oldest goes first

ADD, UPDATE, REMOVE = "AddWorker", "UpdateWorker", "RemoveWorker"


class QueueFull(Exception):
    """As many jobs wait as are allowed to."""


class JobFailed(Exception):
    """A job ends without success; the text is shown to operators. It names no secret."""


@dataclass(slots=True)
class JobStatus:
    """What an operator sees. `timestamp` is when the status changed, seconds since the epoch;
    `message` is None unless it failed.
    """

    job_type: str
    worker_url: str
    status: str  # pending, processing, failed
    message: str | None
    timestamp: int


Run = Callable[["Job"], Awaitable[None]]


class Job:
    """One unit of work. `run(job)` raises JobFailed to fail with a reason."""

    def __init__(self, queue: JobQueue, status: JobStatus, run: Run, limit: float | None) -> None:
        self.status = status
        self.run = run
        self.limit = limit
        self.task: asyncio.Task[None] | None = None
        self.waits = True  # for its turn
        self.works = False  # holds a place
        self._queue = queue

    async def sleep(self, seconds: float) -> None:
        """Wait without holding a place among the working jobs."""
        self.works = False
        self._queue.leave()
        await sleep(self._queue.clock, seconds)
        await self._queue.enter()
        self.works = True


class JobQueue:
    """See the module. `capacity`: jobs that may wait for their turn; `wall` gives epoch seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        capacity: int = 1000,
        concurrency: int = 200,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._capacity = capacity
        self._free = concurrency
        self._wall = wall
        self._waiting = 0
        self._lines: dict[str, deque[Job]] = {}  # by key; the first one is under way
        self._failed: dict[str, tuple[float, JobStatus]] = {}  # by key, oldest first; end of life
        self._entrance: deque[asyncio.Future[None]] = deque()
        self._sweeper: Timer | None = None
        self._tasks = TaskGroupOwner("jobs")
        self._forgotten: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Jobs that wait or run."""
        return sum(len(line) for line in self._lines.values())

    def submit(
        self, job_type: str, key: str, run: Run, *, limit: float | None, always: bool = False
    ) -> None:
        """Run a job as soon as those before it with the same key are over.

        `limit`: seconds it may take in all. `always`: even if the queue is full. QueueFull else.
        """
        if not always and self._waiting >= self._capacity:
            raise QueueFull(f"{self._waiting} jobs are waiting")
        status = JobStatus(job_type, key, "pending", None, int(self._wall()))
        job = Job(self, status, run, limit)
        self._failed.pop(key, None)
        line = self._lines.setdefault(key, deque())
        line.append(job)
        self._waiting += 1
        if len(line) == 1:
            self._start(key, job)

    def status(self, key: str) -> JobStatus | None:
        """Of the job under way or waiting, else of one that failed lately."""
        line = self._lines.get(key)
        if line:
            return line[0].status
        self._sweep()
        failed = self._failed.get(key)
        return failed[1] if failed else None

    def cancel(self, key: str) -> None:
        """Give up every job of `key`; none of them leaves a record."""
        line = self._lines.get(key)
        if not line:
            return
        under_way = line[0]
        self._waiting -= len(line) - 1
        line.clear()
        line.append(under_way)
        if under_way.task is not None:
            under_way.task.cancel()

    def on_forgotten(self, callback: Callable[[str], None]) -> None:
        """Call `callback(key)` whenever nothing is known of a key any more."""
        self._forgotten.append(callback)

    async def close(self) -> None:
        """Cancel every job."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._lines.clear()
        await self._tasks.close()

    # -- places among the working jobs ------------------------------------------------------------

    async def enter(self) -> None:
        """Wait for a place."""
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entrance.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the place was ours already
            raise

    def leave(self) -> None:
        """Give the place to whoever waits longest."""
        while self._entrance:
            turn = self._entrance.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    # -- running ----------------------------------------------------------------------------------

    def _start(self, key: str, job: Job) -> None:
        task = self._tasks.start(self._work(key, job), f"{job.status.job_type} {key}")
        job.task = task
        task.add_done_callback(lambda _: self._next(key, job))

    async def _work(self, key: str, job: Job) -> None:
        status = job.status
        timer = None
        expired = False
        task = asyncio.current_task()

        def expire() -> None:
            nonlocal expired
            expired = True
            if task is not None:
                task.cancel()

        try:
            await self.enter()
            job.works = True
            job.waits = False
            self._waiting -= 1
            status.status = "processing"
            status.timestamp = int(self._wall())
            if job.limit is not None:
                timer = self.clock.call_at(self.clock.time() + job.limit, expire)
            await job.run(job)
        except JobFailed as error:
            self._fail(key, status, str(error))
        except asyncio.CancelledError:
            if not expired:
                raise
            self._fail(key, status, f"not done within {job.limit:g} s")
        except Exception as error:
            log.exception("job %s of %s failed", status.job_type, key)
            self._fail(key, status, f"internal error ({type(error).__name__})")
        finally:
            if timer is not None:
                timer.cancel()
            if job.works:
                self.leave()

    def _fail(self, key: str, status: JobStatus, message: str) -> None:
        log.warning("%s of %s failed: %s", status.job_type, key, message)
        status.status = "failed"
        status.message = message
        status.timestamp = int(self._wall())

    def _next(self, key: str, job: Job) -> None:
        line = self._lines.get(key)
        if not line or line[0] is not job:
            return  # closed
        if job.waits:
            self._waiting -= 1
        line.popleft()
        if line:
            self._start(key, line[0])
            return
        del self._lines[key]
        if job.status.status == "failed":
            if len(self._failed) >= MOST_FAILED:
                self._forget(next(iter(self._failed)))
            end = self.clock.time() + KEEP_FAILED_SECS
            self._failed[key] = (end, job.status)
            if self._sweeper is None:
                self._sweeper = self.clock.call_at(end, self._sweep_later)
        else:
            self._tell_forgotten(key)

    def _sweep_later(self) -> None:
        self._sweeper = None
        self._sweep()
        first = next(iter(self._failed.values()), None)
        if first is not None:
            self._sweeper = self.clock.call_at(first[0], self._sweep_later)

    def _sweep(self) -> None:
        now = self.clock.time()
        while self._failed:
            key, (end, _) = next(iter(self._failed.items()))
            if end > now:
                return
            self._forget(key)

    def _forget(self, key: str) -> None:
        del self._failed[key]
        self._tell_forgotten(key)

    def _tell_forgotten(self, key: str) -> None:
        for callback in self._forgotten:
            callback(key)
