"""The real driver for pairs: command lines, and a gateway before a simulated pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perf.gateways import Start
from perf.processes import NotReady, running
from perf.routing.contenders import Contender
from perf.routing.crowd import Crowd
from perf.routing.pairs.figures import PairFigures, Tally
from perf.routing.pairs.real import Ports, gateway_command, prepare, tally
from perf.routing.pairs.shapes import PAIR_SHAPES, PairShape
from perf.routing.pairs.virtual import measured
from perf.routing.records import Record
from perf.routing.sessions import sessions

PORTS = Ports([1, 2], [3, 4], [5, 6])
START = Start("127.0.0.1", 7, 8, [], Path("/nowhere"))
SPEED = 20.0


def words(who: str, engine: str = "sglang") -> str:
    shape = replace(PAIR_SHAPES["baseline"], engine=engine)
    command = gateway_command(Contender.parse(who), START, shape, PORTS, 4.0)
    assert command is not None
    return " ".join(command)


def test_both_roles_are_on_the_command_line() -> None:
    line = words("ours:cache_aware/least_load+cache-threshold=0.5")
    assert "--prefill http://127.0.0.1:1 3 --prefill http://127.0.0.1:2 4" in line
    assert "--decode http://127.0.0.1:5 --decode http://127.0.0.1:6" in line
    assert "--prefill-policy cache_aware --decode-policy least_load" in line
    assert "--cache-threshold 0.5 --load-monitor-interval 2" in line


def test_one_policy_is_given_once_and_vllms_prefill_comes_later() -> None:
    line = words("ours:cache_aware", "vllm")
    assert "--policy cache_aware" in line
    assert "-policy cache_aware --decode-policy" not in line
    assert "--prefill " not in line


def test_who_has_no_pairs_is_told_apart() -> None:
    with pytest.raises(NotReady):
        words("sglang:cache_aware")


def test_a_prefill_workers_state_is_read() -> None:
    state = {"completed": 3, "prompt_tokens": 400, "cached_tokens": 100, "total": 9}
    assert tally(state) == Tally(3, 400, 100)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
async def test_one_user_at_a_time_sees_what_the_virtual_driver_computes(
    engine: str, tmp_path: Path
) -> None:
    shape = PairShape(
        "alone", "", engine=engine, workers=1, decodes=1, sessions=3, turns=3, groups=2, at_once=1,
        cache_blocks=150, decode_cache_blocks=150, think_seconds=0.0, answer_tokens=6,
    )  # fmt: skip
    contender = Contender.parse("ours:cache_aware/least_load")
    expected, figures = measured(shape, contender, 1)
    with running([]) as programs:
        stage = await prepare(programs, contender, shape, SPEED, tmp_path)
        records = await Crowd(shape, sessions(shape, 1), stage.port, SPEED).run()
        found = await stage.figures(records)
    assert isinstance(found, PairFigures)

    def what(record: Record) -> tuple[str, int, int, int]:
        return record.session, record.turn, record.prompt_tokens, record.cached_tokens

    assert list(map(what, records)) == list(map(what, expected))
    assert (found.hit, found.decode_hit) == (figures.hit, figures.decode_hit)
    assert found.errors == 0
    for record, virtual in zip(records, expected, strict=True):
        assert record.ttft >= virtual.ttft * 0.99
        assert record.ended - record.sent >= (virtual.ended - virtual.sent) * 0.99
