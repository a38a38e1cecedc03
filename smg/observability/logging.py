"""Sets logging up and hands out the handle that owns it (operations 1.7).

The standard loggers are the interface of everybody else; `log_fields` adds structured fields.
Nothing here is called per request.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from smg.observability import log_filter
from smg.observability.access_lines import Entry
from smg.observability.log_format import JsonFormat, Line, LineFormat, Redactor, TextFormat
from smg.observability.log_queue import (
    LIMIT,
    DailyFileSink,
    Later,
    LogQueue,
    LogThread,
    Sink,
    StreamSink,
)

log = logging.getLogger(__name__)


def log_fields(
    logger: logging.Logger, level: int, msg: str, /, *, exc_info: Any = None, **fields: Any
) -> None:
    """Log `msg` with structured fields, if the level is on. Fields that are None are left out."""
    if logger.isEnabledFor(level):
        logger.log(level, msg, extra={"fields": fields}, exc_info=exc_info, stacklevel=2)


def configure(
    level: str = "info",
    json: bool = False,
    directory: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    stream: TextIO | None = None,
    queue_limit: int = LIMIT,
) -> LogHandle:
    """Start logging to stdout (or `stream`) and, given a directory, to a file per day.

    `level` is `debug`, `info`, `warn` or `error`; a valid SMG_LOG or RUST_LOG in `environ` replaces
    it. Never fails: what cannot be honoured is said in a WARN line.
    """
    out = sys.stdout if stream is None else stream
    redact = Redactor()
    # One format object for both sinks where they agree: each line is then formatted once.
    plain: LineFormat = JsonFormat(redact) if json else TextFormat(redact)
    coloured = not json and _wants_colour(out, environ)
    sinks: list[Sink] = [StreamSink(out, TextFormat(redact, colour=True) if coloured else plain)]
    levels, problems = log_filter.from_environment(environ)
    if directory is not None:
        try:
            sinks.append(DailyFileSink(Path(directory), plain))
        except OSError as error:
            problems.append(f"cannot write log files into {os.fspath(directory)}: {error}")
    filtered = levels is not None
    if levels is None:
        levels = log_filter.default(level)
    handle = LogHandle(LogQueue(queue_limit), sinks, levels, redact, filtered=filtered)
    for problem in problems:
        log.warning("%s", problem)
    return handle


def _wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class LogHandle:
    """Owns the handler on the root logger, the levels set and the log thread, until `close`.

    `filtered`: the levels come from a filter in the environment.
    """

    def __init__(
        self,
        queue: LogQueue,
        sinks: list[Sink],
        levels: Mapping[str, int],
        redact: Redactor,
        *,
        filtered: bool = False,
    ) -> None:
        self.filtered = filtered
        #: queues a line made by the caller, who has checked its level
        self.submit: Callable[[Line | Later | Entry], None] = queue.submit
        self._queue = queue
        self._redact = redact
        self._levels = dict(levels)
        self._own = {"smg": self._levels.get("smg", logging.NOTSET)} | {
            name: value for name, value in levels.items() if name.startswith("smg.")
        }
        self._debug = False
        self._listeners: list[Callable[[], None]] = []
        self._before = {name: _logger(name).level for name in {*self._levels, *self._own}}
        self._thread = LogThread(queue, sinks)
        self._closed = False
        for name, value in self._levels.items():
            _logger(name).setLevel(value)
        logging.getLogger().addHandler(queue)
        atexit.register(self.close)

    @property
    def dropped(self) -> int:
        """Lines lost so far because the queue was full."""
        return self._queue.dropped

    @property
    def redactor(self) -> Redactor:
        """Blots the secrets out of texts that go elsewhere; knows those of later, too."""
        return self._redact

    def redact(self, *values: str) -> None:
        """Never write these secrets; those shorter than four characters are ignored."""
        self._redact.add(*values)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change of levels."""
        self._listeners.append(callback)

    def toggle_debug(self) -> None:
        """Switch our own loggers between the configured level and debug (SIGUSR1); says so."""
        self._debug = not self._debug
        for name, configured in self._own.items():
            wanted = configured
            # A logger without a level of its own follows its parent and is left alone, save `smg`.
            if self._debug and (configured == logging.NOTSET or configured > logging.DEBUG):
                wanted = logging.DEBUG
            _logger(name).setLevel(wanted)
        for callback in self._listeners:
            callback()
        text = "log level is now debug" if self._debug else "log level is as configured again"
        # Past the level check: this line must appear at every level.
        record = log.makeRecord(log.name, logging.INFO, __file__, 0, text, (), None)
        log.handle(record)

    def set_level(self, level: str) -> None:
        """Make `level` the configured one of our own loggers. A filter in the environment stays in
        force, and so does a switch to debug.
        """
        if self.filtered:
            return
        wanted = log_filter.LEVELS[level]
        self._own["smg"] = wanted
        if not (self._debug and wanted > logging.DEBUG):
            _logger("smg").setLevel(wanted)
        for callback in self._listeners:
            callback()

    def reopen(self) -> None:
        """Go on in files of the same name: whoever rotates logs may have moved ours away."""
        self._thread.reopen()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all lines logged so far are written; False when that took too long."""
        return self._thread.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued, then undo everything `configure` did. May be called twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        logging.getLogger().removeHandler(self._queue)
        self._thread.stop(timeout)
        for name, value in self._before.items():
            _logger(name).setLevel(value)
        for callback in self._listeners:
            callback()


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(name or None)
