"""A picture of the gateway that is drawn anew while it changes.

Asking takes time, more so when the gateway does not answer: a thread asks, the main thread draws
and listens to keys. What was seen last stays on the screen with a notice.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

from smg.console.errors import ConsoleError
from smg.console.keys import QUIT, Keys

T = TypeVar("T")
TICK = 0.1  # seconds between two looks at keys and answers
TERMINATED = 128 + signal.SIGTERM


class Poller(Generic[T]):
    """Calls `poll` every `interval` seconds in a thread. `first` is an answer that is there
    already.
    """

    def __init__(self, poll: Callable[[], T], interval: float, first: T) -> None:
        self._poll = poll
        self._interval = interval
        self._stopped = threading.Event()
        # A daemon: a command that is told to end does not wait for an answer under way.
        self._thread = threading.Thread(target=self._run, name="console-poller", daemon=True)
        self.latest = first
        self.problem: str | None = None
        self.turn = 0

    def __enter__(self) -> Poller[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _run(self) -> None:
        since = ""
        while not self._stopped.wait(self._interval):
            try:
                self.latest, self.problem = self._poll(), None
            except ConsoleError as error:
                if self.problem is None:
                    since = time.strftime("%H:%M:%S")
                self.problem = f"since {since}: {error}; trying again"
            except Exception as error:
                self.problem = f"{type(error).__name__}: {error}"
            self.turn += 1


def run_live(
    poller: Poller[T],
    draw: Callable[[T, str | None], RenderableType],
    console: Console,
    on_key: Callable[[str], bool] = lambda key: False,
) -> int:
    """Show `draw(latest, problem)` on the whole screen until q or Ctrl-C; returns the exit code.

    `on_key` gets every other key and says whether the picture changes with it.
    """
    with _terminable(), poller, Keys() as keys:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            try:
                drawn: tuple[object, ...] | None = None
                while True:
                    state = (poller.turn, console.size)
                    if state != drawn:
                        live.update(draw(poller.latest, poller.problem), refresh=True)
                        drawn = state
                    key = keys.read(TICK)
                    if key in (QUIT, QUIT.upper()):
                        return 0
                    if key and on_key(key):
                        drawn = None
            except KeyboardInterrupt:
                return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the command as an exception does, so that the terminal is put back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
