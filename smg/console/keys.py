"""Single key presses from a terminal, without Enter and without echo.

Where there is no terminal, or no termios, nobody presses a key: Ctrl-C still ends the command.
"""

from __future__ import annotations

import os
import select
import sys
import time
from types import TracebackType
from typing import Any

try:
    import termios
    import tty
except ImportError:  # not a Unix
    termios = tty = None  # type: ignore[assignment]

QUIT = "q"


class Keys:
    """A context in which stdin is read key by key; the terminal is put back at the end."""

    def __init__(self) -> None:
        self._fd = -1
        self._saved: list[Any] | None = None

    def __enter__(self) -> Keys:
        if termios is not None and sys.stdin is not None and sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
            self._saved = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._saved is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
            self._saved = None

    def read(self, seconds: float) -> str:
        """The next key, "" when there is none for `seconds`. A terminal that is closed quits."""
        if self._saved is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._fd], [], [], seconds)[0]:
            return ""
        try:
            pressed = os.read(self._fd, 64)
        except OSError:
            return QUIT
        # More than one byte is an arrow, a paste: nothing of ours.
        return pressed.decode("latin-1") if len(pressed) == 1 else "" if pressed else QUIT
