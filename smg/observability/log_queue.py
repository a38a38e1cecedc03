"""Carries log lines from the threads that log to one thread that formats and writes.

Logging never waits: the queue is bounded, what does not fit is dropped and counted. The standard
QueueListener writes line by line and cannot give up on a stuck terminal at exit, hence our own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from smg.observability.access_lines import Entry
from smg.observability.line_queue import LineQueue
from smg.observability.log_batch import BatchFormat, own_line
from smg.observability.log_format import Line, LineFormat, from_record

LIMIT = 32_768
# Lines formatted between two writes. While it formats the thread holds the interpreter lock that
# the event loop needs: about 1 us a line of the access log, 5 us for others.
_BATCH = 128
# How long lines gather before they are written (seconds). To wake a thread for each line costs the
# event loop several times what the line does.
_GATHER = 0.02


class Sink(Protocol):
    """Where finished lines go. Used by the log thread only; raises OSError when it cannot write."""

    format: LineFormat

    def write(self, lines: Sequence[Line | Entry], texts: Sequence[str]) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class StreamSink:
    """Writes to a stream it does not own, such as stdout."""

    def __init__(self, stream: TextIO, format: LineFormat) -> None:
        self.format = format
        self._stream = stream

    def write(self, lines: Sequence[Line | Entry], texts: Sequence[str]) -> None:
        """Write and flush one batch."""
        text = _joined(texts)
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

    def write(self, lines: Sequence[Line | Entry], texts: Sequence[str]) -> None:
        """Write and flush one batch, each line into the file of its day."""
        file, midnight = self._file, (self._day + 1) * 86400
        if file is None:
            file = self._open(self._day)
        if max([line[0] if isinstance(line, tuple) else line.created for line in lines]) < midnight:
            file.write(_joined(texts))
        else:
            for line, text in zip(lines, texts, strict=True):
                day = int(_created(line) // 86400)
                # Only forwards: threads may queue their lines a little out of order at midnight.
                if day > self._day:
                    file = self._open(day)
                file.write(f"{text}\n")
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


class Later(tuple[Any, ...]):
    """A line to be: a function that makes it, and its arguments. Cheaper where a line is logged."""

    __slots__ = ()

    def line(self) -> Line:
        """The line."""
        line: Line = self[0](*self[1:])
        return line


Item = logging.LogRecord | Line | Later | Entry
Queued = Item | threading.Event | Reopen | None
_LINES = (logging.LogRecord, Line, tuple)


class LogQueue(logging.Handler):
    """The end that threads log into."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__()
        self._lines = LineQueue(limit)
        self.items: queue.SimpleQueue[Queued] = self._lines.items
        #: takes a line, or counts it as dropped when the queue is full
        self.submit: Callable[[Item], None] = self._lines.submit

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record as it is; its arguments are formatted later, on the log thread."""
        self.submit(record)

    @property
    def dropped(self) -> int:
        """Lines lost so far because the queue was full."""
        return self._lines.dropped


class LogThread:
    """The end that writes. Owned by the LogHandle, which starts and stops it."""

    def __init__(self, source: LogQueue, sinks: Sequence[Sink]) -> None:
        self._source = source
        self._writer = LogWriter(source, sinks)
        self._hurry = threading.Event()  # somebody waits
        self._thread = threading.Thread(target=self._run, name="smg-log", daemon=True)
        self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was logged before is written; False when the time is up."""
        done = threading.Event()
        self._source.items.put(done)
        self._hurry.set()
        return done.wait(timeout)

    def reopen(self) -> None:
        """Open files by their names again, once what is queued has been written."""
        self._source.items.put(Reopen())

    def stop(self, timeout: float) -> None:
        """Write what is queued and end; after `timeout` seconds a stuck sink is left behind."""
        self._source.items.put(None)
        self._hurry.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        items, work = self._source.items, self._writer.work
        running = True
        while running:
            if items.empty():  # also after a pause: sleep until a line comes
                first = items.get()
                self._gather()
                running = work(first)
            while running and not items.empty():
                running = work(items.get())
            if running:
                # To sleep at once would have the next line wake us, at the expense of its thread.
                self._gather()
        self._writer.close()

    def _gather(self) -> None:
        self._hurry.wait(_GATHER)
        self._hurry.clear()


class LogWriter:
    """What the thread does with what it finds in the queue."""

    def __init__(self, source: LogQueue, sinks: Sequence[Sink]) -> None:
        self._source = source
        self._sinks = list(sinks)
        formats = {id(sink.format): BatchFormat(sink.format) for sink in sinks}
        self._formats = [formats[id(sink.format)] for sink in sinks]
        self._broken: set[int] = set()
        self._reported = 0

    def work(self, first: Queued) -> bool:
        """Write `first` and what waits behind it, one batch; False when told to end."""
        items = self._source.items
        get = items.get
        batch = [first, *[get() for _ in range(min(items.qsize(), _BATCH - 1))]]
        lines: list[Line | Entry]
        if set(map(type, batch)) == {tuple}:  # of the access log alone, as under load
            lines = batch  # type: ignore[assignment]
        else:
            lines = [_line(item) for item in batch if isinstance(item, _LINES)]
        self._write(lines)
        self._report_drops()
        if lines is batch:
            return True
        for item in batch:
            if isinstance(item, threading.Event):
                item.set()
            elif isinstance(item, Reopen):
                self._reopen()
        return None not in batch

    def close(self) -> None:
        """Close what belongs to us."""
        for sink in self._sinks:
            sink.close()

    def _reopen(self) -> None:
        for sink in self._sinks:
            try:
                sink.reopen()
            except OSError as error:
                self._source.submit(own_line("cannot open the log file again", error=str(error)))
        self._broken.clear()  # what was told before may be told again

    def _report_drops(self) -> None:
        dropped = self._source.dropped
        if dropped != self._reported:
            lost, self._reported = dropped - self._reported, dropped
            self._write([own_line("log lines were dropped, the queue is full", count=lost)])

    def _write(self, lines: Sequence[Line | Entry]) -> None:
        if not lines:
            return
        made: dict[BatchFormat, list[str]] = {}
        for index, (sink, form) in enumerate(zip(self._sinks, self._formats, strict=True)):
            texts = made.get(form)
            if texts is None:
                texts = made[form] = form.texts(lines)
            try:
                sink.write(lines, texts)
            except (OSError, ValueError) as error:  # disk full, pipe gone, stream closed
                if index not in self._broken:
                    self._broken.add(index)
                    self._source.submit(own_line("cannot write the log", error=str(error)))


def _line(item: logging.LogRecord | Line | Later | Entry) -> Line | Entry:
    if isinstance(item, logging.LogRecord):
        return from_record(item)
    return item.line() if isinstance(item, Later) else item


def _created(line: Line | Entry) -> float:
    return line[0] if isinstance(line, tuple) else line.created


def _joined(texts: Sequence[str]) -> str:
    return "\n".join([*texts, ""])
