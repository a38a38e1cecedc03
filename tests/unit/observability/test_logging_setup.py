from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smg.observability import log_queue
from smg.observability.access_log import AccessLog
from smg.observability.logging import LogHandle, configure, log_fields

Start = Callable[..., LogHandle]
log = logging.getLogger("smg.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stuck(io.StringIO):
    """A stream whose reader sleeps until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.waiting = threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        self.go.wait(20)
        return super().write(text)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def start(out: io.StringIO) -> Iterator[Start]:
    handles = []

    def start(level: str = "info", **options: object) -> LogHandle:
        settings: dict[str, object] = {"environ": {}, "stream": out} | options
        handle = configure(level, **settings)  # type: ignore[arg-type]
        handles.append(handle)
        return handle

    yield start
    for handle in reversed(handles):
        handle.close()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_own_level_and_libraries(start: Start, out: io.StringIO):
    handle = start("debug")
    log.debug("own")
    logging.getLogger("library").info("hidden")
    logging.getLogger("library").warning("shown")
    assert handle.flush()
    assert [line.rpartition(": ")[2] for line in lines(out)] == ["own", "shown"]


def test_close_undoes_everything(start: Start, out: io.StringIO):
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.getLogger("smg").level)
    handle = start("debug", environ={"SMG_LOG": "info,smg.deep=debug"})
    log.info("last")
    handle.close()
    handle.close()
    assert (root.level, root.handlers[:], logging.getLogger("smg").level) == before
    assert logging.getLogger("smg.deep").level == logging.NOTSET
    assert lines(out)[-1].endswith("last")


def test_the_environment_replaces_the_level(start: Start, out: io.StringIO):
    handle = start("error", environ={"SMG_LOG": "smg::quiet=warn,smg=debug"})
    log.debug("one")
    logging.getLogger("smg.quiet.below").info("hidden")
    logging.getLogger("library").warning("hidden")
    handle.flush()
    assert len(lines(out)) == 1


def test_json_and_fields(start: Start, out: io.StringIO):
    handle = start(json=True)
    log_fields(log, logging.INFO, "routed", request_id="req-1", worker=b"http://w", none=None)
    log_fields(log, logging.DEBUG, "hidden", x=1)
    handle.flush()
    (got,) = map(json.loads, lines(out))
    assert (got["request_id"], got["worker"], got["message"]) == ("req-1", "http://w", "routed")
    assert got["filename"] == "test_logging_setup.py"
    assert "none" not in got


def test_colours_only_on_a_terminal_without_no_color(start: Start, out: io.StringIO):
    for environ, coloured in (
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ):
        terminal = Terminal()
        handle = start(stream=terminal, environ=environ)
        log.info("x")
        handle.close()
        assert ("\x1b[" in terminal.getvalue()) is coloured
    handle = start()
    log.info("x")
    handle.close()
    assert "\x1b" not in out.getvalue()


def test_toggling_debug(start: Start, out: io.StringIO):
    handle = start("warn", environ={"RUST_LOG": "warn,smg.a=error"})
    access = AccessLog(handle)
    assert not access.enabled_info
    handle.toggle_debug()
    assert access.enabled_debug
    log.debug("one")
    logging.getLogger("smg.a").debug("two")
    logging.getLogger("library").info("hidden")
    handle.toggle_debug()
    assert not access.enabled_info
    log.info("hidden")
    logging.getLogger("smg.a").warning("hidden")
    handle.flush()
    assert [line.rpartition(": ")[2] for line in lines(out)] == [
        "log level is now debug",
        "one",
        "two",
        "log level is as configured again",
    ]


def test_another_level_while_it_runs(start: Start, out: io.StringIO):
    handle = start("warn")
    access = AccessLog(handle)
    handle.set_level("info")
    seen = [access.enabled_info]
    log.info("one")
    handle.set_level("error")
    seen.append(access.enabled_info)
    assert seen == [True, False]
    log.warning("hidden")
    handle.flush()
    assert [line.rpartition(": ")[2] for line in lines(out)] == ["one"]


def test_another_level_keeps_the_switch_to_debug(start: Start):
    handle = start("warn")
    handle.toggle_debug()
    handle.set_level("error")
    assert log.isEnabledFor(logging.DEBUG)
    handle.toggle_debug()
    assert not log.isEnabledFor(logging.WARNING)
    handle.set_level("debug")
    handle.toggle_debug()
    handle.toggle_debug()
    assert log.isEnabledFor(logging.DEBUG)


def test_a_filter_in_the_environment_stays_in_force(start: Start):
    handle = start("info", environ={"SMG_LOG": "smg=error"})
    assert handle.filtered
    handle.set_level("debug")
    assert not log.isEnabledFor(logging.WARNING)


def test_secrets(start: Start, out: io.StringIO):
    handle = start()
    handle.redact("sk-secret")
    log.info("key is %s", "sk-secret")
    handle.flush()
    assert "key is [redacted]" in out.getvalue()


def test_files_by_day(start: Start, out: io.StringIO, tmp_path: Path):
    handle = start(directory=tmp_path / "a" / "b", stream=Terminal())
    today = time.time()
    for offset in (0.0, 86400.0, 86399.0, 2 * 86400.0):
        record = log.makeRecord("smg.x", 20, "x.py", 1, f"plus {offset:.0f}", (), None)
        record.created = today - today % 86400 + offset
        log.handle(record)
    handle.close()
    files = sorted((tmp_path / "a" / "b").iterdir())
    names = [
        time.strftime("smg.%Y-%m-%d.log", time.gmtime(today + 86400 * day)) for day in range(3)
    ]
    assert [file.name for file in files] == names
    texts = [
        [line.rpartition("plus ")[2] for line in lines(io.StringIO(f.read_text()))] for f in files
    ]
    assert texts == [["0"], ["86400", "86399"], ["172800"]]
    assert "\x1b" not in files[0].read_text()


def test_a_file_that_was_moved_away_is_opened_anew(start: Start, tmp_path: Path):
    handle = start(directory=tmp_path, stream=Terminal())
    log.info("before")
    handle.flush()
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / "moved")
    log.info("still the old one")
    handle.reopen()
    handle.flush()
    log.info("after")
    handle.close()
    kept = (tmp_path / "moved").read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in kept] == ["before", "still the old one"]
    assert file.read_text().rstrip().endswith("after")


def test_a_file_that_cannot_be_opened_anew(start: Start, out: io.StringIO, tmp_path: Path):
    handle = start(directory=tmp_path / "logs")
    (file,) = (tmp_path / "logs").iterdir()
    file.rename(tmp_path / "moved")
    file.mkdir()  # in the way
    handle.reopen()
    handle.flush()
    log.info("goes on")
    handle.close()
    assert "cannot open the log file again" in out.getvalue()
    assert "goes on" in out.getvalue()
    assert "goes on" in (tmp_path / "moved").read_text()


def test_a_directory_that_cannot_be_made(start: Start, out: io.StringIO, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    handle = start("error", directory=tmp_path / "file" / "logs", environ={"SMG_LOG": "warn"})
    log.error("still here")
    handle.flush()
    first, second = lines(out)
    assert " WARN " in first
    assert "cannot write log files" in first
    assert "still here" in second


def test_a_full_queue_drops_and_counts(start: Start):
    stuck = Stuck()
    handle = start(stream=stuck, queue_limit=3)
    log.info("first")
    assert stuck.waiting.wait(10)
    for index in range(5):
        log.info("line %d", index)
    assert handle.dropped == 2
    stuck.go.set()
    assert handle.flush()
    text = stuck.getvalue()
    assert "line 2" in text
    assert "line 3" not in text
    assert "dropped" in text
    assert "count=2" in text


def test_close_does_not_wait_for_a_stuck_stream_for_ever(start: Start):
    stuck = Stuck()
    handle = start(stream=stuck)
    log.info("first")
    assert stuck.waiting.wait(10)
    assert not handle.flush(0.05)
    handle.close(0.05)
    stuck.go.set()


def test_a_broken_stream_does_not_end_the_others(start: Start, tmp_path: Path):
    closed = io.StringIO()
    handle = start(stream=closed, directory=tmp_path)
    closed.close()
    log.info("one")
    handle.flush()
    log.info("two")
    handle.flush()
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    assert "one" in text
    assert "two" in text
    assert text.count("cannot write the log") == 1


def test_a_value_that_cannot_be_shown(start: Start, out: io.StringIO):
    class Hopeless:
        def __str__(self) -> str:
            raise RuntimeError

    handle = start()
    log_fields(log, logging.INFO, "x", value=Hopeless())
    log.info("after")
    handle.flush()
    assert "could not be formatted" in out.getvalue()
    assert lines(out)[-1].endswith("after")


def test_a_stream_that_is_not_utf8(start: Start):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    handle = start(stream=stream)
    log.info("gr\u00fc\u00df")
    handle.flush()
    assert raw.getvalue().endswith(b"gr\\xfc\\xdf\n")


def test_many_threads(start: Start, out: io.StringIO):
    handle = start()

    def many(number: int) -> None:
        for index in range(200):
            log.info("%d-%d", number, index)

    threads = [threading.Thread(target=many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handle.flush()
    assert len(lines(out)) == 800 <= log_queue.LIMIT
