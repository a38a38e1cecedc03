"""The loaded tokenizers by name, and loading them without holding up the loop.

Changed on the loop only. Loading runs on a few threads; however many ask for the same source at
once, it is read once, and two names of one source share one tokenizer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from smg.core.ids import uuid7
from smg.core.tasks import TaskGroupOwner
from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source, load
from smg.tokenization.tokenizer import Tokenizer

T = TypeVar("T")

ATTEMPTS = 3
PAUSE = 2.0  # seconds between attempts
LIMIT = 300.0  # seconds for one attempt


@dataclass(frozen=True, slots=True)
class Entry:
    """A tokenizer under a name. Requests that run keep theirs when it is removed."""

    id: str
    name: str
    source: Source
    tokenizer: Tokenizer


class TokenizerRegistry:
    """Name or id to tokenizer. `threads` bounds loads and encodes that run at once."""

    def __init__(
        self,
        limits: CacheLimits | None = None,
        *,
        threads: int | None = None,
        loader: Callable[[Source, CacheLimits | None], Tokenizer] = load,
        pause: float = PAUSE,
    ) -> None:
        self._limits = limits
        self._loader = loader
        self._pause = pause
        self._by_name: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._loading: dict[Source, asyncio.Task[Tokenizer | LoadFailed]] = {}
        self._names_loading: dict[str, asyncio.Task[Entry | LoadFailed]] = {}
        self._tasks = TaskGroupOwner("tokenizers")
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "tokenizer")

    def get(self, name_or_id: str) -> Entry | None:
        """The entry of a name, else of an id."""
        return self._by_name.get(name_or_id) or self._by_id.get(name_or_id)

    def entries(self) -> list[Entry]:
        """All entries, sorted by name."""
        return sorted(self._by_name.values(), key=lambda entry: entry.name)

    def is_loading(self, name: str) -> bool:
        """Whether somebody waits for this name."""
        return name in self._names_loading

    def remove(self, name_or_id: str) -> bool:
        """Forget an entry; False if there is none."""
        entry = self.get(name_or_id)
        if entry is None:
            return False
        del self._by_name[entry.name]
        del self._by_id[entry.id]
        return True

    async def load(self, name: str, source: Source) -> Entry:
        """The entry of `name`, loaded from `source` if there is none yet.

        All who ask for a name while it is being loaded get the same entry; one who gives up
        waiting does not end the load for the others. Errors: LoadFailed.
        """
        if not name:
            raise LoadFailed("tokenizer name cannot be empty")
        if not source.path:
            raise LoadFailed("tokenizer source cannot be empty")
        if name in self._by_name:
            return self._by_name[name]
        waiting = self._names_loading.get(name)
        if waiting is None:
            waiting = self._tasks.start(self._load_name(name, source), f"load {name}")
            self._names_loading[name] = waiting
            waiting.add_done_callback(lambda _: self._names_loading.pop(name, None))
        entry = await asyncio.shield(waiting)
        if isinstance(entry, LoadFailed):
            raise entry
        return entry

    async def run(self, function: Callable[[], T]) -> T:
        """Run something long, such as encoding a prompt, on the threads of this registry."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    async def close(self) -> None:
        """End all loads and the threads."""
        await self._tasks.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # The tasks return a LoadFailed instead of raising it: it is for those who wait, not for the
    # log of background tasks that broke.

    async def _load_name(self, name: str, source: Source) -> Entry | LoadFailed:
        tokenizer = await self._shared(source)
        if isinstance(tokenizer, LoadFailed):
            return tokenizer
        entry = Entry(uuid7(), name, source, tokenizer)
        self._by_name[name] = entry
        self._by_id[entry.id] = entry
        return entry

    async def _shared(self, source: Source) -> Tokenizer | LoadFailed:
        for entry in self._by_name.values():
            if entry.source == source:
                return entry.tokenizer
        task = self._loading.get(source)
        if task is None:
            task = self._tasks.start(self._attempts(source), f"read {source.path}")
            self._loading[source] = task
            task.add_done_callback(lambda _: self._loading.pop(source, None))
        return await asyncio.shield(task)

    async def _attempts(self, source: Source) -> Tokenizer | LoadFailed:
        problem = LoadFailed("not tried")
        for left in reversed(range(ATTEMPTS)):
            job = self.run(lambda: self._loader(source, self._limits))
            try:
                return await asyncio.wait_for(job, LIMIT)
            except asyncio.TimeoutError:
                problem = LoadFailed(f"loading {source.path} took more than {LIMIT:.0f} s")
            except LoadFailed as error:
                problem = error
                if not error.retryable:
                    break
            if left:
                await asyncio.sleep(self._pause)
        return problem
