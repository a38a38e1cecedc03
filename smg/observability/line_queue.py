"""The queue between those who log and the log thread: bounded, what does not fit is counted."""

from __future__ import annotations

import queue
from typing import Any


class LineQueue:
    """Takes lines from any thread, in the order they came."""

    def __init__(self, limit: int) -> None:
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.dropped = 0
        self._limit = limit
        self._put = self.items.put
        self._size = self.items.qsize

    def submit(self, item: object) -> None:
        """Take a line, or count it as dropped when the queue is full."""
        if self._size() >= self._limit:
            self.dropped += 1
        else:
            self._put(item)
