"""Where output goes: a terminal of some width and character set, or a file or pipe of neither."""

from __future__ import annotations

import io
import json
import sys
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.status import Status

from smg.console.text import plain

WIDE = 10_000  # columns for files and pipes: nothing is cut


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with code 1; a reader that has enough is no failure.
        raise BrokenPipeError


def console_on(stream: TextIO | None = None) -> Console:
    """The console for `stream` (stdout). Characters it cannot write become `?`."""
    stream = sys.stdout if stream is None else stream
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    width = None if stream.isatty() else WIDE
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def is_screen(console: Console) -> bool:
    """Whether somebody looks at it. rich's `is_terminal` may be forced by the environment, for the
    sake of colours.
    """
    return console.file.isatty()


def width_of(console: Console) -> int | None:
    """Columns to fit into; None when there is no limit."""
    return console.width if is_screen(console) else None


def speaks_unicode(console: Console) -> bool:
    """Whether the terminal shows more than ASCII."""
    return not console.options.ascii_only


def show(console: Console, content: RenderableType) -> None:
    """Print; into files and pipes without the blanks that fill lines up."""
    if is_screen(console):
        console.print(content)
        return
    with console.capture() as captured:
        console.print(content)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print JSON, in ASCII, so that every terminal and pipe can carry it."""
    print(json.dumps(value, indent=indent), flush=True)


class Progress:
    """Tells on stderr how something goes: one line that changes on a terminal, else a line for each
    change. stdout is left to the result.
    """

    def __init__(self) -> None:
        self._console = console_on(sys.stderr)
        self._status: Status | None = None
        self._last = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """How it stands now; the same text again is not repeated."""
        text = plain(text)
        if text == self._last:
            return
        self._last = text
        if not is_screen(self._console):
            print(text, file=sys.stderr, flush=True)
        elif self._status is None:
            spinner = "dots" if speaks_unicode(self._console) else "line"
            self._status = self._console.status(text, spinner=spinner)
            self._status.start()
        else:
            self._status.update(text)
