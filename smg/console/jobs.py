"""Waiting for what the gateway does in the background: a worker joins, changes, leaves.

The gateway takes an order (202) and keeps a job for it. The job's record is on the worker while it
is waiting or running, and for some minutes after a failure; after a success it is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from smg.console.errors import JobFailed, Refused, Unreachable
from smg.console.info import Info, load_of, status_of
from smg.console.workers_api import NOT_FOUND, WorkersApi

FIRST_PAUSE = 0.1  # seconds between two looks; doubles up to the next
LONGEST_PAUSE = 1.0
PATIENCE = 10.0  # seconds without an answer before a gateway counts as gone

Say = Callable[[str], None]


class Waiter:
    """Looks at one worker again and again, for `seconds` at most; tells `say` what it sees."""

    def __init__(
        self,
        api: WorkersApi,
        worker_id: str,
        seconds: float,
        say: Say,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._id = worker_id
        self._seconds = seconds
        self._say = say
        self._clock = clock
        self._sleep = sleep

    def until_ready(self) -> Info:
        """The worker, once it takes requests. Raises `JobFailed` with the job's own message."""
        for info in self._looks():
            if info is None:
                raise JobFailed("the worker is gone before it was ready", NOT_FOUND)
            running = _job(info, "AddWorker", "the worker was not added")
            if not running and status_of(info) == "ready":
                return info
            self._say(f"job {running}" if running else f"worker {status_of(info)}")
        raise self._late("the worker is not ready")

    def until_changed(self) -> Info:
        """The worker, once its change is made. Raises `JobFailed`."""
        for info in self._looks():
            if info is None:
                raise JobFailed("the worker is gone", NOT_FOUND)
            running = _job(info, "UpdateWorker", "the worker was not changed")
            if not running:
                return info
            self._say(f"job {running}")
        raise self._late("the change is not made")

    def until_removed(self) -> None:
        """Return once the gateway does not know the worker any more. Raises `JobFailed`."""
        for info in self._looks():
            if info is None:
                return
            _job(info, "RemoveWorker", "the worker was not removed")
            load = load_of(info)
            noun = "request" if load == 1 else "requests"
            self._say(f"worker {status_of(info)}, {load} {noun} in flight")
        raise self._late("the worker is not removed")

    def _late(self, what: str) -> JobFailed:
        return JobFailed(f"{what} after {self._seconds:g} s; the gateway goes on with it")

    def _looks(self) -> Iterator[Info | None]:
        """The worker as it is, until time is over; None when there is none of that id."""
        began = heard = self._clock()
        pause = FIRST_PAUSE
        while True:
            try:
                info = self._look()
            except Unreachable:
                # A restart or a lost packet must not end a wait of minutes.
                if self._clock() - heard >= PATIENCE:
                    raise
                self._say("no answer from the gateway, trying again")
            else:
                heard = self._clock()
                yield info
            left = began + self._seconds - self._clock()
            if left <= 0:
                return
            self._sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self) -> Info | None:
        try:
            return self._api.get(self._id)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None


def _job(info: Info, kind: str, otherwise: str) -> str:
    """`pending` or `processing` while a job runs, else ""; raises `JobFailed` when the one of
    `kind` has failed.
    """
    job: Any = info.get("job_status")
    if not isinstance(job, dict):
        return ""
    state = str(job.get("status", ""))
    if state != "failed":
        return state
    if job.get("job_type") != kind:
        return ""  # an older failure, of another order
    raise JobFailed(f"{otherwise}: {job.get('message') or 'no reason given'}")
