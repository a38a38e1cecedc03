"""Tables, files and bounds of pairs, and what the command line accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.routing import __main__ as command
from perf.routing import report
from perf.routing.contenders import Contender
from perf.routing.pairs.__main__ import PAIRS
from perf.routing.pairs.shapes import PAIR_SHAPES
from perf.routing.result import Result, read_json, write_json
from perf.routing.shapes import SHAPES

WHO = "ours:round_robin,ours:cache_aware,ours:cache_aware/least_load,sglang:cache_aware"


@pytest.fixture(scope="module")
def result() -> Result:
    options = command.parser(PAIRS).parse_args(
        ["--virtual", "--shapes", "baseline", "--runs", "1", "--policy", WHO]
    )
    return command.virtual(options, PAIRS)


def test_the_table_names_both_roles(result: Result) -> None:
    text = report.tables(result, PAIRS.header, PAIRS.row)
    assert "### baseline: 24 sessions at once in 4 prompt groups, 4 + 4 workers" in text
    assert "| ours:cache_aware/least_load " in text
    assert "decode max/mean" in text
    assert "skipped: sglang:cache_aware" in text


def test_a_file_keeps_every_figure(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    write_json(path, result)
    again = read_json(path, PAIRS.figures)
    assert again.samples == result.samples


def test_bounds_hold_and_name_known_shapes(result: Result) -> None:
    bounds = report.read_bounds(PAIRS.budgets)
    for of in bounds.values():
        assert set(of) <= {*PAIR_SHAPES, "default"}
    verdicts = {verdict.name: verdict for verdict in report.check(result, bounds)}
    assert verdicts["baseline, mean_of_round_robin"].held
    assert verdicts["baseline, unanswered"].held


def test_shapes_and_contenders_of_pairs() -> None:
    options = command.parser(PAIRS).parse_args(["--virtual"])
    assert [shape.name for shape in options.shapes] == list(PAIR_SHAPES)
    assert [str(one) for one in command.chosen(options, PAIRS)] == list(PAIRS.virtual)
    with pytest.raises(SystemExit):
        command.parser(PAIRS).parse_args(["--shapes", "worker-lost"])
    assert "worker-lost" in SHAPES


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "ours:cache_aware/perf.routing.experiments:LeastInFlight",
            "ours:cache_aware/LeastInFlight",
        ),
        ("perf.routing.experiments:Oracle/ours:least_load", "Oracle/ours:least_load"),
        ("ours:cache_aware/least_load", "ours:cache_aware/least_load"),
    ],
)
def test_classes_go_by_their_own_names(name: str, shown: str) -> None:
    assert report.short(name) == shown


def test_legs_of_a_contender() -> None:
    both = Contender.parse("ours:cache_aware/least_load+cache-threshold=0.5")
    flags = (("cache-threshold", "0.5"),)
    assert both.legs == (
        Contender("ours", "cache_aware", flags),
        Contender("ours", "least_load", flags),
    )
    same = Contender.parse("ours:cache_aware")
    assert same.legs == (same, same)
    mixed = Contender.parse("perf.routing.experiments:Oracle/ours:least_load")
    names = [leg.virtual_name for leg in mixed.legs]
    assert names == ["perf.routing.experiments:Oracle", "least_load"]
