"""Tables, bounds, files, and what the command line accepts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from perf.gateways import Start
from perf.routing import __main__ as command
from perf.routing import report
from perf.routing.contenders import Contender
from perf.routing.figures import Figures
from perf.routing.plot import plot
from perf.routing.records import Record
from perf.routing.result import Result, read_json, write_json
from perf.routing.shapes import SHAPES

FIGURES = Figures(360, 100.0, 90.0, 400.0, 0.85, 1.1, 0.05, 9, 0.4, 20.0, 0, 0)
START = Start("127.0.0.1", 1, 2, ["http://127.0.0.1:3"], Path("/nowhere"))


def a_result(ours: float = 90.0, p99: float = 400.0) -> Result:
    result = Result(machine={"cpu": "x", "cores": "2"})
    for shape in ("baseline", "one-prompt"):
        for mean in (450.0, 400.0, 9_000.0):
            result.add(shape, "ours:round_robin", replace(FIGURES, mean_ms=mean, p99_ms=1_500.0))
        result.add(shape, "ours:cache_aware", replace(FIGURES, mean_ms=ours, p99_ms=p99, errors=2))
        result.add(shape, "reference:cache_aware", FIGURES)
    result.note("a note")
    result.note("a note")
    lost = Record("s", 0, 0.0, errors=2, reason="status 502")
    result.count_errors("one-prompt", "ours:cache_aware", [lost, lost, Record("s", 1, 0.0)])
    return result


def test_tables_show_medians_and_ratios() -> None:
    text = report.tables(a_result())
    assert "### baseline: 24 sessions" in text
    assert "| ours:round_robin " in text
    assert " 450 " in text
    assert " 0.20 |" in text  # of round_robin
    assert " 0.90 |" in text  # of the reference
    assert text.count("a note") == 1
    assert "turns of ours:cache_aware that failed: status 502 x2" in text


def test_verdicts() -> None:
    bounds = report.read_bounds()
    verdicts = {verdict.name: verdict for verdict in report.check(a_result(), bounds)}
    assert verdicts["baseline, mean_of_round_robin"].measured == pytest.approx(0.2)
    assert "one-prompt, mean_of_round_robin" not in verdicts
    assert verdicts["one-prompt, mean_of_reference"].bound == 1.0
    assert verdicts["baseline, p99_of_reference"].bound == 1.05
    assert all(verdict.held for verdict in verdicts.values())
    assert len(verdicts) == 7


def test_a_bound_must_be_stayed_below() -> None:
    bounds = report.read_bounds()
    missed = [str(one) for one in report.check(a_result(ours=100.0), bounds) if not one.held]
    assert len(missed) == 1
    assert missed[0].startswith("MISS  one-prompt, mean_of_reference: 1.000 (below 1.00); ours 100")
    missed = [one.name for one in report.check(a_result(p99=421.0), bounds) if not one.held]
    assert missed == ["baseline, p99_of_reference", "one-prompt, p99_of_reference"]


def test_verdicts_are_of_medians_and_tell_the_ratio_run_by_run() -> None:
    result = Result()
    for ours, theirs in ((100.0, 90.0), (900.0, 1_000.0), (200.0, 210.0)):
        result.add("baseline", "ours:cache_aware", replace(FIGURES, mean_ms=ours))
        result.add("baseline", "reference:cache_aware", replace(FIGURES, mean_ms=theirs))
    verdicts = {one.name: one for one in report.check(result, report.read_bounds())}
    verdict = verdicts["baseline, mean_of_reference"]
    assert verdict.measured == pytest.approx(200 / 210)
    result.add("baseline", "ours:cache_aware", replace(FIGURES, mean_ms=150.0))
    result.add("baseline", "reference:cache_aware", replace(FIGURES, mean_ms=100.0))
    verdicts = {one.name: one for one in report.check(result, report.read_bounds())}
    verdict = verdicts["baseline, mean_of_reference"]
    assert verdict.measured == pytest.approx(175 / 155)  # the medians, which bounds are for
    assert verdict.detail.endswith("run by run 1.032")


def test_whoever_is_missing_misses_the_bound() -> None:
    result = Result()
    result.add("baseline", "ours:cache_aware", FIGURES)
    verdicts = report.check(result, report.read_bounds())
    assert len(verdicts) == 4
    held = [verdict.name for verdict in verdicts if verdict.held]
    assert held == ["baseline, unanswered"]
    assert all(math.isnan(verdict.measured) for verdict in verdicts if not verdict.held)


def test_turns_without_an_answer_miss_a_bound_however_fast_the_others_were() -> None:
    result = a_result()
    result.add("baseline", "ours:cache_aware", replace(FIGURES, mean_ms=1.0, unanswered=1))
    missed = [one.name for one in report.check(result, report.read_bounds()) if not one.held]
    assert missed == ["baseline, unanswered"]


def test_bounds_name_known_shapes() -> None:
    for section, bounds in report.read_bounds().items():
        known = ("mean_of_round_robin", "mean_of_reference", "p99_of_reference", "unanswered")
        assert section in known
        assert set(bounds) <= {*SHAPES, "default"}


def test_a_file_keeps_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.json"
    result = a_result()
    write_json(path, result)
    assert read_json(path) == result


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.svg"
    plot(a_result(), path)
    assert "one-prompt" in path.read_text()


def test_contenders_are_read_and_started() -> None:
    tuned = Contender.parse("reference:cache_aware+cache-threshold=0.5")
    assert str(tuned) == "reference:cache_aware+cache-threshold=0.5"
    gateway = tuned.gateway
    assert gateway is not None
    words = gateway.arguments(START)
    assert words[words.index("--policy") + 1] == "round_robin"
    started = tuned.command(START)
    if started is not None:  # the reference is installed
        assert started[started.index("--policy") + 1] == "cache_aware"
        assert started[-4:] == ["--cache-threshold", "0.5", "--load-monitor-interval", "10"]
        assert (tuned.command(START, 4.0) or [])[-1] == "2"
        switched = Contender.parse("reference:random+disable-retries+load-monitor-interval=7")
        assert str(switched) == "reference:random+disable-retries+load-monitor-interval=7"
        words = ["--disable-retries", "--load-monitor-interval", "7"]
        assert (switched.command(START) or [])[-3:] == words
    assert tuned.virtual_name is None
    assert Contender.parse("ours:random").virtual_name == "random"
    assert Contender.parse("a.b:C").virtual_name == "a.b:C"
    assert Contender.parse("a.b:C").command(START) is None


@pytest.mark.parametrize("text", ["cache_aware", "nobody:random", "ours:", "ours:random+--x=1"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        Contender.parse(text)


def test_the_command_line() -> None:
    options = command.parser().parse_args(["--shapes", "baseline,one-prompt", "--virtual"])
    assert [shape.name for shape in options.shapes] == ["baseline", "one-prompt"]
    assert list(command.seeds(options, SHAPES["baseline"])) == [1, 2, 3]
    assert len(list(command.seeds(options, SHAPES["open-loop"]))) == 15
    assert len(list(command.seeds(options, SHAPES["open-busy"]))) == 45
    assert [one.who for one in command.chosen(options)][:2] == ["ours", "ours"]
    for wrong in (["--shapes", "nonsense"], ["--policy", "nonsense"]):
        with pytest.raises(SystemExit):
            command.parser().parse_args(wrong)
    four = [Contender.parse(f"ours:p{number}") for number in range(4)]
    assert [len(batch) for batch in command.batches(four, 3)] == [3, 1]


def test_virtual_runs_need_no_gateway_and_note_who_is_left_out() -> None:
    options = command.parser().parse_args(
        ["--virtual", "--shapes", "few-at-once", "--runs", "1"]
        + ["--policy", "ours:round_robin,reference:cache_aware"]
    )
    result = command.virtual(options)
    assert list(result.samples["few-at-once"]) == ["ours:round_robin"]
    assert result.notes == [
        "skipped: reference:cache_aware: a program, it cannot run on a virtual clock"
    ]
