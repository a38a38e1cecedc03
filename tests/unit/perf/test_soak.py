from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from perf.soak import Run, Sample, read, write_line

SETTINGS = {"seconds": 600, "rate": 200, "seed": 1, "warm_up": 60}
ZERO = {"right": 0, "failed": 0, "cut": 0, "hung": 0, "wrong": 0, "left": 0}


def sample(at: float, rss_mb: float, **counts: int) -> Sample:
    return Sample(
        at=at,
        rss_mb=rss_mb,
        sockets=20,
        clients=10,
        upstream=5,
        tasks=9,
        loop_p99_ms=4.0,
        late_p99_ms=6.0,
        counts={**ZERO, "right": 1000, **counts},
        reasons={"hung: nothing came": counts["hung"]} if "hung" in counts else {},
        strays=0,
    )


def growing(by: float) -> list[Sample]:
    """Memory that doubles in the warm-up and then grows by so many MB a minute."""
    start = [sample(at, 40 + at) for at in range(0, 60, 10)]
    return start + [sample(at, 100 + by * (at - 60) / 60) for at in range(60, 600, 10)]


def missed(run: Run) -> list[str]:
    return [bound.name.split(",")[0] for bound in run.bounds() if not bound.held]


@pytest.mark.parametrize(("by", "bad"), [(0.0, False), (0.9, False), (1.1, True), (-3.0, False)])
def test_growth_is_of_the_time_after_the_warm_up(by: float, bad: bool) -> None:
    run = Run(SETTINGS, growing(by), left={})
    assert run.growth() == pytest.approx(by)
    assert missed(run) == (["growth of memory after 60 s"] if bad else [])


def test_too_short_for_a_slope() -> None:
    assert missed(Run(SETTINGS, growing(0.0)[:7], left={})) == ["growth of memory after 60 s"]


def test_the_bounds_of_chaos_hold_too() -> None:
    samples = growing(0.0)
    samples[-1] = sample(600, 100, wrong=1, hung=2, failed=3)
    assert len(missed(Run(SETTINGS, samples, left={"sockets": 3}))) == 4


def test_requests_that_hung_without_a_byte_count_as_not_retried() -> None:
    hung = sample(600, 100, hung=2)
    assert hung.tally().retryable == 1002
    assert dataclasses.replace(hung, reasons={"hung: in the answer": 2}).tally().retryable == 1000


def write(path: Path, samples: list[Sample], *, end: bool) -> None:
    with path.open("w") as file:
        write_line(file, settings=SETTINGS)
        for one in samples:
            write_line(file, **dataclasses.asdict(one))
        if end:
            write_line(file, left={}, ended=False)


def test_a_finished_run_is_read(tmp_path: Path) -> None:
    samples = growing(0.5)
    write(tmp_path / "run", samples, end=True)
    run = read(tmp_path / "run")
    assert run == Run(SETTINGS, samples, left={})
    assert missed(run) == []


def test_a_cut_run_is_read_to_where_it_got(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write(path, growing(0.5)[:20], end=False)
    whole = path.read_text()
    path.write_text(whole[:-30])
    run = read(path)
    assert len(run.samples) == 19
    assert missed(run) == ["left behind in the gateway"]  # nobody knows
    assert any("RSS" in line for line in run.lines())


def test_a_line_is_there_at_once(tmp_path: Path) -> None:
    with (tmp_path / "run").open("w") as file:
        write_line(file, settings=SETTINGS)
        assert json.loads((tmp_path / "run").read_text()) == {"settings": SETTINGS}


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "run", [], end=True)
    with pytest.raises(SystemExit, match="no samples"):
        read(tmp_path / "run")
