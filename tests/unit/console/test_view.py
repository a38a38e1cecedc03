"""Frames of `smg top`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from smg.console.frame import BY_REQUESTS, Frame, Overview, Row
from smg.console.view import draw
from tests.unit.console.test_tables import drawn

OVERVIEW = Overview(
    url="http://127.0.0.1:30000",
    version="0.1.0",
    uptime_secs=7500.0,
    ready=True,
    healthy_workers=1,
    total_workers=2,
    requests_per_sec=12.5,
    in_flight=4.0,
    error_ratio=0.008,
    cache_hit_ratio=0.83,
    ttft_p50_secs=0.12,
    ttft_p99_secs=0.48,
)


def row(number: int, **values: Any) -> Row:
    usual: dict[str, Any] = {
        "id": f"0198c0de-0000-7000-8000-{number:012x}",
        "url": f"http://10.0.0.{number}:8000",
        "model": "acme/llm-8b",
        "status": "ready",
        "healthy": values.get("status", "ready") == "ready",
        "load": 0,
        "requests_per_sec": None,
        "errors_per_sec": None,
        "share": None,
        "priority": 50.0,
        "cost": 1.0,
    }
    return Row(**{**usual, **values})


ROWS = (row(1, load=3, share=1.0), row(2, status="not_ready", share=0.0, cost=2.5))
COUNTED = tuple(replace(entry, requests_per_sec=6.25, errors_per_sec=0.1) for entry in ROWS)


def test_a_frame():
    frame = Frame(OVERVIEW, ROWS)
    assert drawn(draw(frame, ROWS, None)) == [
        "smg 0.1.0  http://127.0.0.1:30000  up 2h 05m  ready  1/2 healthy",
        "requests 12.5/s  in flight 4  errors 0.8%  cache hits 83%  ttft p50 120ms p99 480ms",
        "",
        "   ID        URL                   MODEL        STATUS     LOAD  SHARE  PRIO  COST",
        "●  00000001  http://10.0.0.1:8000  acme/llm-8b  ready         3   100%    50     1",
        "○  00000002  http://10.0.0.2:8000  acme/llm-8b  not_ready     0     0%    50   2.5",
        "",
        "share: of requests in flight",
    ]


def test_a_frame_of_a_gateway_that_counts_by_worker():
    frame = Frame(replace(OVERVIEW, tokens_per_sec=1234.0), COUNTED, BY_REQUESTS)
    lines = drawn(draw(frame, COUNTED, None))
    assert lines[1].endswith("tokens 1.23k/s")
    assert lines[3:5] == [
        "   ID        URL                   MODEL        STATUS     LOAD  REQ/S  ERR/S  SHARE"
        "  PRIO  COST",
        "●  00000001  http://10.0.0.1:8000  acme/llm-8b  ready         3   6.25    0.1   100%"
        "    50     1",
    ]
    assert lines[-1] == "share: of requests answered"


def test_a_narrow_frame():
    frame = Frame(OVERVIEW, COUNTED, BY_REQUESTS)
    assert drawn(draw(frame, COUNTED, 60, height=24, footer="sorted by url"), 60) == [
        "smg 0.1.0  http://127.0.0.1:30000  up 2h 05m  ready",
        "1/2 healthy",
        "requests 12.5/s  in flight 4  errors 0.8%  cache hits 83%",
        "ttft p50 120ms p99 480ms",
        "",
        "   URL            MODEL        STATUS     LOAD  REQ/S  ERR/S",
        "●  10.0.0.1:8000  acme/llm-8b  ready         3   6.25    0.1",
        "○  10.0.0.2:8000  acme/llm-8b  not_ready     0   6.25    0.1",
        "",
        "share: of requests answered",
        "q quit  sort by: u url  m model  s status  l load  r req/s",
        "e err/s  p priority  c cost  (again: turned)",
        "sorted by url",
    ]


def test_nothing_known():
    frame = Frame(Overview(url="http://h:1", ready=False, reason="draining"), ())
    assert drawn(draw(frame, (), None)) == [
        "smg -  http://h:1  not ready: draining  0/0 healthy",
        "requests -  in flight -  errors -  cache hits -  ttft p50 - p99 -",
        "",
        *drawn(draw(frame, (), None))[3:-1],
        "no workers",
    ]


def test_notices():
    frame = Frame(OVERVIEW, ROWS, problems=("no metrics: closed\x1b[0m",))
    lines = drawn(draw(frame, ROWS, None, notice="since 12:00:01: no answer"))
    assert "no metrics: closed\\u001b[0m" in lines
    assert "since 12:00:01: no answer" in lines


def test_ascii_terminals():
    frame = Frame(OVERVIEW, ROWS)
    lines = drawn(draw(frame, ROWS, 50, unicode=False), 50)
    assert all(line.isascii() for line in lines)
    assert any(line.startswith("+ ") for line in lines)


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 80, 120])
@pytest.mark.parametrize("height", [1, 5, 10, 24])
def test_every_size(width: int, height: int):
    rows = [row(number) for number in range(100)]
    lines = drawn(
        draw(Frame(OVERVIEW, tuple(rows)), rows, width, height=height, footer="sorted"), width
    )
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("height", [12, 24, 50])
def test_a_large_fleet_leaves_the_head_on_the_screen(height: int):
    rows = [row(number) for number in range(100)]
    frame = Frame(OVERVIEW, tuple(rows))
    lines = drawn(draw(frame, rows, 100, height=height, footer="sorted by url", notice="n"), 100)
    assert len(lines) <= height
    assert any("more" in line for line in lines)
