from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from smg.observability.access_log import AccessLog
from smg.observability.logging import LogHandle, configure

REQUEST = (b"POST", b"/v1/chat/completions?x=1", b"HTTP/1.1", b"req-1")
SPAN = {
    "method": "POST",
    "uri": "/v1/chat/completions?x=1",
    "version": "HTTP/1.1",
    "request_id": "req-1",
    "module": "smg",
}


class Recorder:
    def __init__(self, level: str) -> None:
        self.out = io.StringIO()
        self.handle: LogHandle = configure(level, json=True, environ={}, stream=self.out)
        self.access = AccessLog(self.handle)

    def lines(self) -> list[dict[str, object]]:
        self.handle.flush()
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    made = Recorder(getattr(request, "param", "debug"))
    yield made
    made.handle.close()


def test_fields(recorder: Recorder):
    recorder.access.request_started(*REQUEST)
    recorder.access.response_head(*REQUEST, 200, 1234)
    recorder.access.stream_failed(*REQUEST, "upstream_stream_cut", "http://w:1", OSError("reset"))
    start, end, failed = recorder.lines()
    assert start | SPAN == start
    assert (start["level"], start["target"]) == ("INFO", "smg::request")
    assert "status_code" not in start
    assert end | SPAN | {"status_code": 200, "latency": 1234} == end
    assert (end["level"], end["target"]) == ("INFO", "smg::response")
    reason = {"error": "upstream_stream_cut", "worker": "http://w:1", "cause": "reset"}
    assert failed | SPAN | reason == failed
    assert (failed["level"], failed["target"]) == ("ERROR", "smg::response")


@pytest.mark.parametrize(
    ("status", "probe", "level"),
    [
        (200, False, "INFO"),
        (302, False, "INFO"),
        (404, False, "WARN"),
        (499, False, "WARN"),
        (500, False, "ERROR"),
        (503, True, "DEBUG"),
        (200, True, "DEBUG"),
    ],
)
def test_levels(recorder: Recorder, status: int, probe: bool, level: str):
    recorder.access.request_started(*REQUEST, probe)
    recorder.access.response_head(*REQUEST, status, 1, probe)
    start, end = recorder.lines()
    assert (start["level"], end["level"]) == ("DEBUG" if probe else "INFO", level)


@pytest.mark.parametrize("recorder", ["info"], indirect=True)
def test_probes_are_silent_at_info(recorder: Recorder):
    for _ in range(100):
        recorder.access.request_started(*REQUEST, True)
        recorder.access.response_head(*REQUEST, 503, 1, True)
    assert recorder.lines() == []


@pytest.mark.parametrize("recorder", ["warn"], indirect=True)
def test_at_warn_only_errors_come_out(recorder: Recorder):
    assert not recorder.access.enabled_info
    recorder.access.request_started(*REQUEST)
    recorder.access.response_head(*REQUEST, 200, 1)
    recorder.access.response_head(*REQUEST, 500, 1)
    assert [line["level"] for line in recorder.lines()] == ["ERROR"]


def test_without_a_handle_it_uses_the_standard_loggers(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        access = AccessLog()
        assert access.enabled_info
        access.request_started(*REQUEST)
        access.response_head(*REQUEST, 404, 5)
    first, second = caplog.records
    assert (first.name, first.levelno) == ("smg.request", logging.INFO)
    assert (second.name, second.levelno) == ("smg.response", logging.WARNING)
    access.refresh()
    assert not access.enabled_info
