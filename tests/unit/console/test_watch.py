"""Differences between two lists, and the lines they make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smg.console.errors import Refused, Unreachable
from smg.console.watch import changes, picture_of, watch_lines
from tests.doubles.console_api import worker
from tests.unit.console.test_tables import drawn


def test_the_first_list():
    assert [change.event for change in changes(None, [worker(1), worker(2)])] == ["present"] * 2


def test_what_happened():
    before = [worker(1), worker(2), worker(3, load=1)]
    after = [worker(1, status="not_ready", priority=7), worker(3, load=9), worker(4)]
    found = changes(before, after)
    assert [(change.event, change.worker["url"]) for change in found] == [
        ("changed", "http://10.0.0.1:8000"),
        ("added", "http://10.0.0.4:8000"),
        ("removed", "http://10.0.0.2:8000"),
    ]
    assert found[0].before == {"status": "ready", "priority": 50}
    assert found[0].line() == (
        "changed  http://10.0.0.1:8000  status ready -> not_ready, priority 50 -> 7"
    )
    assert found[1].line() == "added    http://10.0.0.4:8000  ready"


def test_names_of_others_do_no_harm():
    assert "\x1b" not in changes(None, [worker(1, url="http://\x1b[2J")])[0].line()


@pytest.mark.parametrize("height", [6, 24, 100])
def test_a_large_fleet_on_a_screen(height: int):
    fleet = [worker(number) for number in range(1, 60)]
    shown = drawn(picture_of(fleet, "since 12:00:01: no answer", 80, height), 80)
    assert len(shown) <= height
    assert shown[-2:] == ["since 12:00:01: no answer", "59 workers: 59 ready  (q quits)"]
    assert any("more" in line for line in shown) is (height < 60)


def lines(*answers: Any, as_json: bool = False) -> int:
    """Watch a script until its end, which is Ctrl-C."""
    script = list(answers)

    def poll() -> list[dict[str, Any]]:
        if not script:
            raise KeyboardInterrupt
        answer = script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    return watch_lines(poll, 1.0, as_json=as_json, sleep=lambda seconds: None)


def test_lines(capsys: pytest.CaptureFixture[str]):
    assert lines([worker(1)], [worker(1)], [worker(1, status="failed")]) == 0
    out = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert out == [
        "present  http://10.0.0.1:8000  ready",
        "changed  http://10.0.0.1:8000  status ready -> failed",
    ]


def test_json_lines(capsys: pytest.CaptureFixture[str]):
    assert lines([worker(1)], [], as_json=True) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["event"] for row in rows] == ["present", "removed"]
    assert rows[0]["worker"] == worker(1)


def test_a_gateway_that_goes_away_is_told_once(capsys: pytest.CaptureFixture[str]):
    gone = Unreachable("no answer")
    assert lines([worker(1)], gone, gone, [worker(1)], gone) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert err.splitlines() == ["smg: no answer; trying again"] * 2


def test_the_first_answer_must_come():
    for error in (Unreachable("no answer"), Refused("no", 401)):
        with pytest.raises(type(error)):
            lines(error)
