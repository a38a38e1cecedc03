"""The loaded tokenizers by name, and loading them without holding up the loop.

Changed on the loop only. However many ask for the same source at once, it is read once, and two
names of one source share one tokenizer. Loads have threads of their own: a slow download keeps
nobody from encoding.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from smg.core.ids import uuid7
from smg.core.tasks import TaskGroupOwner
from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source, load
from smg.tokenization.tokenizer import Tokenizer

ATTEMPTS = 3
PAUSE = 2.0  # seconds between attempts
LIMIT = 300.0  # seconds for one attempt
LOADERS = 2  # loads at once
MOST_ENTRIES = 1000

#: reads a source; the event is set when nobody waits for the result any more
Loader = Callable[[Source, CacheLimits | None, threading.Event], Tokenizer]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tokenizer under a name. Requests that run keep theirs when it is removed."""

    id: str
    name: str
    source: Source
    tokenizer: Tokenizer


#: told of every entry that came (True) or went (False)
Listener = Callable[[Entry, bool], None]


class TokenizerRegistry:
    """Name or id to tokenizer; all of them have caches within `limits`, each its own."""

    def __init__(
        self,
        limits: CacheLimits | None = None,
        *,
        loader: Loader = load,
        pause: float = PAUSE,
    ) -> None:
        self.limits = limits or CacheLimits()
        self._loader = loader
        self._pause = pause
        self._by_name: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}
        self._loading: dict[Source, asyncio.Task[Tokenizer | LoadFailed]] = {}
        self._names_loading: dict[str, asyncio.Task[Entry | LoadFailed]] = {}
        self._listeners: list[Listener] = []
        self._tasks = TaskGroupOwner("tokenizers")
        self._threads = ThreadPoolExecutor(LOADERS, "tokenizer-load")

    def get(self, name_or_id: str) -> Entry | None:
        """The entry of a name, else of an id."""
        return self._by_name.get(name_or_id) or self._by_id.get(name_or_id)

    def named(self, name: str) -> Entry | None:
        """The entry of a name."""
        return self._by_name.get(name)

    def entries(self) -> list[Entry]:
        """All entries, sorted by name."""
        return sorted(self._by_name.values(), key=lambda entry: entry.name)

    def is_loading(self, name: str) -> bool:
        """Whether somebody waits for this name."""
        return name in self._names_loading

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with every entry that comes or goes from now on."""
        self._listeners.append(listener)

    def remove(self, name_or_id: str) -> Entry | None:
        """Forget an entry and return it; None if there is none."""
        entry = self.get(name_or_id)
        if entry is not None:
            del self._by_name[entry.name]
            del self._by_id[entry.id]
            self._tell(entry, False)
        return entry

    async def load(self, name: str, source: Source, entry_id: str | None = None) -> Entry:
        """The entry of `name`, loaded from `source` if there is none yet; a new one gets
        `entry_id`.

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
            if len(self._by_name) + len(self._names_loading) >= MOST_ENTRIES:
                raise LoadFailed(f"there are {MOST_ENTRIES} tokenizers already")
            waiting = self._tasks.start(
                self._load_name(name, source, entry_id or uuid7()), f"load {name}"
            )
            self._names_loading[name] = waiting
            waiting.add_done_callback(lambda _: self._names_loading.pop(name, None))
        entry = await asyncio.shield(waiting)
        if isinstance(entry, LoadFailed):
            raise entry
        return entry

    async def wait(self, name: str, seconds: float) -> Entry | None:
        """The entry of a name that is being loaded; None if it is not, fails, or takes longer."""
        waiting = self._names_loading.get(name)
        if waiting is not None:
            await asyncio.wait((waiting,), timeout=seconds)
        return self._by_name.get(name)

    async def close(self) -> None:
        """End all loads and their threads."""
        await self._tasks.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self, entry: Entry, came: bool) -> None:
        for listener in self._listeners:
            listener(entry, came)

    # The tasks return a LoadFailed instead of raising it: it is for those who wait, not for the
    # log of background tasks that broke.

    async def _load_name(self, name: str, source: Source, entry_id: str) -> Entry | LoadFailed:
        tokenizer = await self._shared(source)
        if isinstance(tokenizer, LoadFailed):
            return tokenizer
        entry = Entry(entry_id, name, source, tokenizer)
        self._by_name[name] = entry
        self._by_id[entry.id] = entry
        self._tell(entry, True)
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
            try:
                return await asyncio.wait_for(self._attempt(source), LIMIT)
            except asyncio.TimeoutError:
                problem = LoadFailed(f"loading {source.path} took more than {LIMIT:.0f} s")
            except LoadFailed as error:
                problem = error
                if not error.retryable:
                    break
            if left:
                await asyncio.sleep(self._pause)
        return problem

    async def _attempt(self, source: Source) -> Tokenizer:
        given_up = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._loader, source, self.limits, given_up
            )
        finally:
            given_up.set()
