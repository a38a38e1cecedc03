"""Tables that fit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from smg.console.tables import Column, cut, fitted, summary, worker_table, workers_table
from tests.doubles.console_api import worker

FLEET = [
    worker(2, status="not_ready", priority=10, cost=2.5, labels={"zone": "b", "gpu": "h200"}),
    worker(1, load=3, labels={"zone": "a"}),
    worker(3, status="failed", model_id=None, models=[], runtime_type="vllm"),
    worker(4, status="draining", load=2, models=[{"id": "x"}, {"id": "y"}], model_id="x"),
]


def drawn(content: RenderableType, width: int = 200) -> list[str]:
    """The lines on a screen of that width."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(content)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_list():
    assert drawn(workers_table(FLEET, None)) == [
        "ID        URL                   MODEL        TYPE     ENGINE  STATUS     LOAD  PRIO"
        "  COST  LABELS",
        "00000001  http://10.0.0.1:8000  acme/llm-8b  regular  sglang  ready         3    50"
        "     1  zone=a",
        "00000002  http://10.0.0.2:8000  acme/llm-8b  regular  sglang  not_ready     0    10"
        "   2.5  gpu=h200,zone=b",
        "00000003  http://10.0.0.3:8000  any          regular  vllm    failed        0    50"
        "     1  -",
        "00000004  http://10.0.0.4:8000  x +1         regular  sglang  draining      2    50"
        "     1  -",
    ]


def test_a_narrow_list():
    assert drawn(workers_table(FLEET, 60), 60) == [
        "ID        URL                   MODEL        STATUS     LOAD",
        "00000001  http://10.0.0.1:8000  acme/llm-8b  ready         3",
        "00000002  http://10.0.0.2:8000  acme/llm-8b  not_ready     0",
        "00000003  http://10.0.0.3:8000  any          failed        0",
        "00000004  http://10.0.0.4:8000  x +1         draining      2",
    ]
    assert drawn(workers_table(FLEET, 35), 35)[:2] == [
        "URL                 STATUS     LOAD",
        "10.0.0.1:8000       ready         3",
    ]


def test_without_labels_there_is_no_column_for_them():
    assert "LABELS" not in drawn(workers_table([worker(1)], None))[0]


def test_ascii():
    table = workers_table(FLEET, 50, mark="~")
    assert all(line.isascii() for line in drawn(table, 50))


@pytest.mark.parametrize("width", [1, 5, 10, 20, 40, 60, 80, 100])
def test_every_width(width: int):
    lines = drawn(workers_table(FLEET, width), width)
    assert len(lines) == 1 + len(FLEET)
    assert all(cell_len(line) <= width for line in lines)


def test_no_workers():
    assert len(drawn(workers_table([], 80))) <= 1
    assert summary([]) == "0 workers"


def test_summary():
    assert summary(FLEET) == "4 workers: 1 ready, 1 not_ready, 1 failed, 1 draining"
    assert summary([worker(1, status="new")]) == "1 worker: 1 new"


@given(st.text(), st.integers(0, 30), st.sampled_from(["…", "~"]))
def test_cut_fits(text: str, width: int, mark: str):
    found = cut(text, width, mark)
    assert cell_len(found) <= width
    assert found in (text, "") or found.startswith(mark)


def test_cut_drops_the_usual_scheme_first():
    assert cut("http://10.0.0.1:8000", 14, "…") == "10.0.0.1:8000"
    assert cut("http://10.0.0.1:8000", 12, "…") == "….0.0.1:8000"
    assert cut("grpc://10.0.0.1:8000", 14, "…") == "…10.0.0.1:8000"


def test_columns_go_by_rank_before_texts_are_cut_too_far():
    columns = [
        Column("A", ["a" * 30], least=10),
        Column("B", ["b" * 10], drop=1),
        Column("C", ["c" * 10], drop=2),
    ]
    assert drawn(fitted(columns, 34), 34)[1] == "…aaaaaaaaa  bbbbbbbbbb  cccccccccc"
    assert drawn(fitted(columns, 33), 33)[1] == "…aaaaaaaaaaaaaaaaaaaa  bbbbbbbbbb"
    assert drawn(fitted(columns, 21), 21)[1] == "…aaaaaaaaaaaaaaaaaaaa"


def test_one_worker():
    job = {"job_type": "AddWorker", "status": "failed", "message": "no\x1b[2J answer"}
    lines = drawn(worker_table({**worker(1, labels={"zone": "a"}), "job_status": job}))
    assert lines[:5] == [
        "id                       0198c0de-0000-7000-8000-000000000001",
        "url                      http://10.0.0.1:8000",
        "model_id                 acme/llm-8b",
        "status                   ready",
        "load                     0",
    ]
    assert "labels.zone              a" in lines
    assert "is_healthy               yes" in lines
    assert "job_status.message       no\\u001b[2J answer" in lines
