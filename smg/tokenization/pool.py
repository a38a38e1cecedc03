"""The threads that encode and decode, and who may use them.

A request is admitted by the size of its body, before anything of it is copied: what waits for the
threads is bounded in bytes, not in requests. Work is handed over in pieces, so that a long batch
shares the threads with everybody else and ends soon after its client has left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from smg.tokenization.errors import TokenizerBusy

T = TypeVar("T")

MOST_BYTES = 64 << 20  # of all requests that are being worked on, or wait


def usable_cpus() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class EncodePool:
    """`threads`, and the bytes that may be with them at once. Unless told otherwise one processor
    is left to the event loop, which has to be woken often and for short.
    """

    def __init__(self, threads: int | None = None, *, most_bytes: int = MOST_BYTES) -> None:
        self._executor = ThreadPoolExecutor(threads or max(1, usable_cpus() - 1), "tokenizer")
        self._most = most_bytes
        self._admitted = 0

    @property
    def admitted(self) -> int:
        """Bytes of the requests that are in."""
        return self._admitted

    @contextmanager
    def admission(self, size: int) -> Iterator[None]:
        """Holds `size` bytes for the length of a request; TokenizerBusy if there is no room."""
        if self._admitted + size > self._most:
            raise TokenizerBusy()
        self._admitted += size
        try:
            yield
        finally:
            self._admitted -= size

    async def run(self, function: Callable[[], T]) -> T:
        """Run one piece of work on a thread; one that waits for its turn can be cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Take no more work and forget what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)
