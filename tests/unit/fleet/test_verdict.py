"""Thresholds of the health state machine."""

from __future__ import annotations

from smg.fleet.verdict import Verdict
from smg.workers import WorkerStatus

READY, NOT_READY = WorkerStatus.READY, WorkerStatus.NOT_READY
FAILED, PENDING = WorkerStatus.FAILED, WorkerStatus.PENDING


def run(status: WorkerStatus, results: str, failures: int = 3, successes: int = 2) -> list[str]:
    verdict = Verdict(failures, successes)
    seen = []
    for result in results:
        status = verdict.judge(status, result == "+")
        seen.append(status.value)
    return seen


def test_three_failures_in_a_row_take_a_worker_out() -> None:
    assert run(READY, "--+--") == ["ready"] * 5
    assert run(READY, "---") == ["ready", "ready", "not_ready"]


def test_two_successes_in_a_row_bring_it_back() -> None:
    assert run(NOT_READY, "+-+") == ["not_ready"] * 3
    assert run(NOT_READY, "+-++")[-1] == "ready"


def test_nine_more_failures_give_it_up() -> None:
    seen = run(READY, "-" * 12)
    assert seen == ["ready"] * 2 + ["not_ready"] * 9 + ["failed"]


def test_a_failed_worker_comes_back_like_any_other() -> None:
    assert run(FAILED, "-+-++") == ["failed"] * 4 + ["ready"]


def test_pending_counts_probes_in_total_even_when_flapping() -> None:
    assert run(PENDING, "++") == ["pending", "ready"]
    assert run(PENDING, "+-" * 15) == ["pending"] * 29 + ["failed"]
    assert run(PENDING, "-" * 10, failures=1)[-2:] == ["pending", "failed"]


def test_not_ready_counts_failures_in_a_row_only() -> None:
    assert run(NOT_READY, "--------+-")[-1] == "not_ready"
    assert run(NOT_READY, "-" * 9)[-2:] == ["not_ready", "failed"]


def test_thresholds_may_change_between_results() -> None:
    verdict = Verdict(3, 2)
    assert verdict.judge(READY, False) is READY
    verdict.failure_threshold = 2
    assert verdict.judge(READY, False) is NOT_READY
    verdict.success_threshold = 1
    assert verdict.judge(NOT_READY, True) is READY


def test_draining_is_left_alone() -> None:
    assert run(WorkerStatus.DRAINING, "---++") == ["draining"] * 5
