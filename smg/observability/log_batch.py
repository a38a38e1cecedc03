"""Puts a batch of lines into the words of one format. Runs on the log thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from smg.observability.access_lines import Entry, JsonLines, as_line
from smg.observability.log_format import JsonFormat, Line, LineFormat


class BatchFormat:
    """Each line as `form` writes it; lines of the access log as JSON at a fraction of the cost."""

    def __init__(self, form: LineFormat) -> None:
        self._form = form
        self._json = form if isinstance(form, JsonFormat) else None
        self._quick = None if self._json is None else JsonLines(self._json.unredacted)

    def texts(self, lines: Sequence[Line | Entry]) -> list[str]:
        """The lines, without a newline at their end, in order. Never fails."""
        if self._json is None or self._quick is None:
            return [self._text(line) for line in lines]
        quick = self._quick.text
        texts = [quick(line) if type(line) is tuple else self._text(line) for line in lines]
        # Nearly no batch holds a secret: one look at all of it instead of one per line.
        if self._json.redact.in_line("\n".join(texts)):
            texts = [self._text(line) for line in lines]
        return texts

    def _text(self, line: Line | Entry) -> str:
        try:
            return self._form(as_line(line) if isinstance(line, tuple) else line)
        except Exception as error:  # a field whose str() fails must not end the log
            name = type(error).__name__
            return self._form(own_line("a log line could not be formatted", error=name))


def own_line(message: str, **fields: object) -> Line:
    """A warning of the log about itself."""
    return Line(time.time(), logging.WARNING, "smg::log", "log_queue.py", 0, message, fields)
