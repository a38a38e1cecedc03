"""Tables and bounds from samples, and what the command line accepts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perf import bench, report
from perf.gateways import DEFAULT, GATEWAYS, Start
from perf.idle_streams import delay_percentile
from perf.profile_hot import hottest, instructions
from perf.workloads import WORKLOADS, Sample


def sample(cpu_us: float, *, rss_mb: float = 30.0, errors: str = "") -> Sample:
    return Sample(cpu_us, 1000.0, 1.0, 2.0, rss_mb, 1.0, 2.0, 100.0, errors)


def a_run() -> report.Run:
    run = report.Run(idle_mb={"smg": 30.0, "reference": 50.0})
    for ours, theirs, haproxy in ((40.0, 200.0, 20.0), (44.0, 190.0, 21.0), (900.0, 210.0, 22.0)):
        run.add("small", "smg", sample(ours))
        run.add("small", "reference", sample(theirs))
        run.add("small", "haproxy", sample(haproxy))
    run.add("paced", "smg", sample(15.0, rss_mb=40.0))
    run.add("paced", "reference", sample(20.0, rss_mb=160.0))
    return run


def test_verdicts_compare_medians() -> None:
    budgets = {"small": {"reference": 0.30, "haproxy": 2.0}, "paced_rss": {"reference": 0.5}}
    small, haproxy, rss = report.check(a_run(), budgets)
    assert small.measured == pytest.approx(44 / 200)
    assert small.held
    assert str(small).startswith("pass")
    assert haproxy.measured == pytest.approx(44 / 21)
    assert not haproxy.held
    assert str(haproxy).startswith("MISS")
    assert rss.measured == pytest.approx(0.25)


def test_a_bound_without_its_peer_is_missed() -> None:
    run = report.Run()
    run.add("small", "smg", sample(1.0))
    (verdict,) = report.check(run, {"small": {"reference": 9.0}})
    assert math.isnan(verdict.measured)
    assert not verdict.held


def test_a_workload_left_out_has_no_verdict() -> None:
    assert report.check(report.Run(), {"small": {"reference": 1.0}, "paced_rss": {"x": 1.0}}) == []


def test_rounds_with_errors_are_not_in_the_figures() -> None:
    run = report.Run()
    run.add("small", "smg", sample(10.0))
    run.add("small", "smg", sample(1.0, errors="status 503 x9"))
    assert run.cpu("small", "smg").median == 10.0
    assert run.errors() == ["small smg round 2: status 503 x9"]


def test_tables_name_every_gateway_and_ratio() -> None:
    text = report.tables(a_run())
    assert "| SMG " in text
    assert "0.22" in text
    assert "2.10" in text
    assert "### paced" in text


def test_the_budgets_file_names_known_workloads_and_gateways() -> None:
    for section, bounds in report.read_budgets(bench.BUDGETS).items():
        assert section in WORKLOADS or section == "paced_rss"
        assert set(bounds) <= set(GATEWAYS)


def test_json_keeps_every_sample(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.json"
    bench.write_json(path, a_run())
    assert '"cpu_us": 900.0' in path.read_text()
    assert bench.read_json(path) == a_run()


def test_options_name_gateways_and_workloads() -> None:
    options = bench.parser().parse_args(["--gateways", "smg,haproxy", "--workloads", "small"])
    assert options.gateways == ["smg", "haproxy"]
    assert bench.parser().parse_args([]).gateways == list(DEFAULT)
    with pytest.raises(SystemExit):
        bench.parser().parse_args(["--gateways", "nginx"])


def test_streams_need_the_raw_worker() -> None:
    options = bench.parser().parse_args(["--worker", "sim", "--quick"])
    assert not any(workload.stream for workload in bench.chosen(options))


def test_arguments_of_gateways(tmp_path: Path) -> None:
    start = Start("127.0.0.1", 1, 2, ["http://127.0.0.1:3"], tmp_path)
    ours = GATEWAYS["smg"].arguments(start)
    assert ours == GATEWAYS["reference"].arguments(start)
    assert ours[:3] == ["launch", "--worker-urls", "http://127.0.0.1:3"]
    GATEWAYS["haproxy"].arguments(start)
    config = (tmp_path / "haproxy.cfg").read_text()
    assert "server w0 127.0.0.1:3" in config
    assert "no-delay" not in config


def test_loop_delay_is_read_between_two_scrapes() -> None:
    form = (
        'smg_event_loop_delay_seconds_bucket{{le="0.001"}} {}\n'
        'smg_event_loop_delay_seconds_bucket{{le="0.01"}} {}\n'
        'smg_event_loop_delay_seconds_bucket{{le="+Inf"}} {}\n'
    )
    before, after = form.format(10, 10, 10).encode(), form.format(10, 110, 110).encode()
    assert delay_percentile(before, after, 50) == pytest.approx(0.0055)
    assert math.isnan(delay_percentile(b"", b"", 99))


def test_callgrind_output_is_read() -> None:
    assert instructions("version: 1\nsummary: 12\nfn=x\ntotals: 34\n") == 34
    listing = (
        "10,000 (100.0%)  PROGRAM TOTALS\n\n"
        " 4,000 (40.00%)  ???:parse [/opt/lib/parser.so]\n   500 ( 5.00%)  loop.c:run [/opt/x]\n"
    )
    lines = hottest(listing, 10_000, 100, 1)
    assert lines == ["        40  40.0 %  parse [parser.so]"]
