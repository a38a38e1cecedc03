"""Carries log lines from the threads that log to one thread that formats and writes.

Logging never waits: the queue is bounded, what does not fit is dropped and counted. The standard
QueueListener writes line by line and cannot give up on a stuck terminal at exit, hence our own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from smg.observability.log_format import Line, LineFormat, from_record

LIMIT = 32_768
# Lines formatted between two writes. While it formats the thread holds the interpreter lock that
# the event loop needs, about 5 us a line.
_BATCH = 32


class Sink(Protocol):
    """Where finished lines go. Used by the log thread only; raises OSError when it cannot write."""

    format: LineFormat

    def write(self, lines: Sequence[Line], texts: Sequence[str]) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class StreamSink:
    """Writes to a stream it does not own, such as stdout."""

    def __init__(self, stream: TextIO, format: LineFormat) -> None:
        self.format = format
        self._stream = stream

    def write(self, lines: Sequence[Line], texts: Sequence[str]) -> None:
        """Write and flush one batch."""
        text = "".join(f"{text}\n" for text in texts)
        try:
            self._stream.write(text)
        except UnicodeEncodeError:  # a stream that is not UTF-8
            self._stream.write(text.encode("ascii", "backslashreplace").decode())
        self._stream.flush()

    def reopen(self) -> None:
        """Nothing, for the same reason as `close`."""

    def close(self) -> None:
        """Nothing: the stream belongs to someone else."""


class DailyFileSink:
    """`smg.YYYY-MM-DD.log` in a directory, a new file each UTC day; old ones are never deleted."""

    def __init__(self, directory: Path, format: LineFormat) -> None:
        self.format = format
        self._directory = directory
        self._day = -1
        self._file: TextIO | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._open(int(time.time() // 86400))

    def _open(self, day: int) -> TextIO:
        name = time.strftime("smg.%Y-%m-%d.log", time.gmtime(day * 86400))
        file = (self._directory / name).open("a", encoding="utf-8", errors="backslashreplace")
        self.close()
        self._file, self._day = file, day
        return file

    def write(self, lines: Sequence[Line], texts: Sequence[str]) -> None:
        """Write and flush one batch, each line into the file of its day."""
        file = self._file
        for line, text in zip(lines, texts, strict=True):
            day = int(line.created // 86400)
            # Only forwards: threads may queue their lines a little out of order around midnight.
            if file is None or day > self._day:
                file = self._open(max(day, self._day))
            file.write(f"{text}\n")
        if file is not None:
            file.flush()

    def reopen(self) -> None:
        """Open the file of the day by its name again: the one we hold may have been moved away."""
        self._open(self._day)

    def close(self) -> None:
        """Close the file of the day."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Reopen:
    """In the queue: open files by their names again before going on."""


class LogQueue(logging.Handler):
    """The end that threads log into."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__()
        self.items: queue.SimpleQueue[logging.LogRecord | Line | threading.Event | Reopen | None]
        self.items = queue.SimpleQueue()
        self.dropped = 0
        self._limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record as it is; its arguments are formatted later, on the log thread."""
        self.submit(record)

    def submit(self, item: logging.LogRecord | Line) -> None:
        """Take a line, or count it as dropped when the queue is full."""
        if self.items.qsize() >= self._limit:
            self.dropped += 1
        else:
            self.items.put(item)


class LogThread:
    """The end that writes. Owned by the LogHandle, which starts and stops it."""

    def __init__(self, source: LogQueue, sinks: Sequence[Sink]) -> None:
        self._source = source
        self._sinks = list(sinks)
        self._broken: set[int] = set()
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="smg-log", daemon=True)
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was logged before is written; False when the time is up."""
        done = threading.Event()
        self._source.items.put(done)
        return done.wait(timeout)

    def reopen(self) -> None:
        """Open files by their names again, once what is queued has been written."""
        self._source.items.put(Reopen())

    def stop(self, timeout: float) -> None:
        """Write what is queued and end; after `timeout` seconds a stuck sink is left behind."""
        self._source.items.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        items = self._source.items
        running = True
        while running:
            batch = [items.get()]
            while len(batch) < _BATCH and not items.empty():
                batch.append(items.get())
            running = None not in batch
            lines = [_line(item) for item in batch if isinstance(item, (logging.LogRecord, Line))]
            self._write(lines)
            self._report_drops()
            for item in batch:
                if isinstance(item, threading.Event):
                    item.set()
                elif isinstance(item, Reopen):
                    self._reopen()
        for sink in self._sinks:
            sink.close()

    def _reopen(self) -> None:
        for sink in self._sinks:
            try:
                sink.reopen()
            except OSError as error:
                self._source.submit(_own_line("cannot open the log file again", error=str(error)))
        self._broken.clear()  # what was told before may be told again

    def _report_drops(self) -> None:
        dropped = self._source.dropped
        if dropped != self._reported:
            lost, self._reported = dropped - self._reported, dropped
            self._write([_own_line("log lines were dropped, the queue is full", count=lost)])

    def _write(self, lines: list[Line]) -> None:
        if not lines:
            return
        formatted: dict[int, list[str]] = {}
        for index, sink in enumerate(self._sinks):
            texts = formatted.get(id(sink.format))
            if texts is None:
                texts = formatted[id(sink.format)] = [_format(sink.format, line) for line in lines]
            try:
                sink.write(lines, texts)
            except (OSError, ValueError) as error:  # disk full, pipe gone, stream closed
                if index not in self._broken:
                    self._broken.add(index)
                    self._source.submit(_own_line("cannot write the log", error=str(error)))


def _own_line(message: str, **fields: object) -> Line:
    return Line(time.time(), logging.WARNING, "smg::log", "log_queue.py", 0, message, fields)


def _line(item: logging.LogRecord | Line) -> Line:
    return item if isinstance(item, Line) else from_record(item)


def _format(format: LineFormat, line: Line) -> str:
    try:
        return format(line)
    except Exception as error:  # a field whose str() fails must not end the log
        return format(_own_line("a log line could not be formatted", error=type(error).__name__))
