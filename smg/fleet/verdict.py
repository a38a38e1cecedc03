"""From probe results to a worker's status: counting only, no clock, no I/O.

Thresholds and transitions: routing-reliability 14.
"""

from __future__ import annotations

from smg.workers import WorkerStatus

PENDING_PROBES = 10  # times the failure threshold: probes a pending worker may use up in total
FAILED_AFTER = 3  # times the failure threshold: further failures that make not_ready a failed one


class Verdict:
    """Consecutive results of one worker since its last change of status. The thresholds may be
    changed at any time; they hold from the next result on.
    """

    __slots__ = ("failure_threshold", "failures", "probes", "success_threshold", "successes")

    def __init__(self, failure_threshold: int, success_threshold: int) -> None:
        self.failure_threshold = failure_threshold
        self.success_threshold = success_threshold
        self.failures = 0
        self.successes = 0
        self.probes = 0

    def reset(self) -> None:
        """Count anew: the status changed."""
        self.failures = self.successes = self.probes = 0

    def judge(self, status: WorkerStatus, healthy: bool) -> WorkerStatus:
        """The status after one more probe; counts start anew whenever it differs from `status`."""
        self.probes += 1
        self.successes = self.successes + 1 if healthy else 0
        self.failures = 0 if healthy else self.failures + 1
        after = self._after(status)
        if after is not status:
            self.reset()
        return after

    def _after(self, status: WorkerStatus) -> WorkerStatus:
        if status is WorkerStatus.DRAINING:
            return status
        if status is WorkerStatus.READY:
            down = self.failures >= self.failure_threshold
            return WorkerStatus.NOT_READY if down else status
        if self.successes >= self.success_threshold:
            return WorkerStatus.READY
        if status is WorkerStatus.PENDING:
            lost = self.probes >= PENDING_PROBES * self.failure_threshold
            return WorkerStatus.FAILED if lost else status
        if status is WorkerStatus.NOT_READY:
            lost = self.failures >= FAILED_AFTER * self.failure_threshold
            return WorkerStatus.FAILED if lost else status
        return status
