"""Takes over settings while the gateway runs (SIGHUP; cli 13.1).

Everything is read and checked first; a mistake anywhere changes nothing. What a target can take
over is in force at once, for what comes next; the rest is named and waits for a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Protocol

from smg.config.flags import BY_FIELD
from smg.config.grammar import UsageError
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.core.tasks import TaskGroupOwner

if TYPE_CHECKING:
    from smg.config.parse import Loaded
    from smg.observability.families import GatewayMetrics

log = logging.getLogger(__name__)

#: Called with the settings in force and the new ones, which are valid; puts into force what it can
#: and returns the names of the fields that it took over. Runs on the event loop; must either take
#: over a field as a whole or leave it. One that raises has taken over nothing.
ReloadTarget = Callable[[RouterConfig, RouterConfig], Collection[str]]

#: Called before that with the new settings, on the reading thread: reads files that they name, and
#: returns the names of the fields whose file says something else than what is in force, for a
#: target to take over. Raises ConfigError.
ReloadCheck = Callable[[RouterConfig], Collection[str]]


class Reloadable(Protocol):
    """What is reloaded: the gateway. `config` holds the settings in force."""

    config: RouterConfig
    metrics: GatewayMetrics

    @property
    def reload_targets(self) -> Sequence[ReloadTarget]:
        """Who takes over what, in this order."""
        ...

    @property
    def reload_checks(self) -> Sequence[ReloadCheck]:
        """Who reads what else."""
        ...


def changed(old: RouterConfig, new: RouterConfig, names: Collection[str]) -> list[str]:
    """Those of the fields `names` that differ."""
    return [name for name in names if getattr(old, name) != getattr(new, name)]


class Reloader:
    """Reads settings with `load` when asked to, on a thread, since files may be slow; one reading
    at a time. `load` raises ConfigError or UsageError; None if there is nothing to read.

    `begins()` and `ends()` are called around each reading.
    """

    def __init__(
        self,
        gateway: Reloadable,
        load: Callable[[], Loaded] | None,
        *,
        begins: Callable[[], None] = lambda: None,
        ends: Callable[[], None] = lambda: None,
    ) -> None:
        self._gateway = gateway
        self._load = load
        self._begins = begins
        self._ends = ends
        self._wanted = self._running = False
        self._tasks = TaskGroupOwner("reload")
        gateway.metrics.config_last_reload_successful.labels().set(1.0)

    def request(self) -> None:
        """Read the settings; asked for during a reading, it is done once more after it."""
        self._wanted = True
        if not self._running:
            self._running = True
            self._tasks.start(self._run(), "settings")

    async def close(self) -> None:
        """Read no more; a reading under way changes nothing any more."""
        self._wanted = False
        await self._tasks.close()

    async def _run(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self._read_once()
        finally:
            self._running = False

    async def _read_once(self) -> None:
        self._begins()
        try:
            succeeded = await self._reload()
        finally:
            self._ends()
        metrics = self._gateway.metrics
        metrics.config_last_reload_successful.labels().set(float(succeeded))
        metrics.config_reloads.labels("success" if succeeded else "failed").inc()

    async def _reload(self) -> bool:
        if self._load is None:
            log.info("there are no settings to read again")
            return True
        loop = asyncio.get_running_loop()
        try:
            loaded, files = await loop.run_in_executor(None, self._read, self._load)
        except ConfigError as error:
            return _refused(error.problems)
        except UsageError as error:
            return _refused([str(error)])
        except Exception:
            log.exception("settings cannot be read: those in force stay")
            return False
        for text in loaded.warnings:
            log.warning("%s", text)
        return self._take_over(loaded.config, files)

    def _read(self, load: Callable[[], Loaded]) -> tuple[Loaded, set[str]]:
        loaded = load()
        checks = self._gateway.reload_checks
        return loaded, {name for check in checks for name in check(loaded.config)}

    def _take_over(self, new: RouterConfig, files: Collection[str]) -> bool:
        """`files` are the fields whose files changed."""
        gateway = self._gateway
        old = gateway.config
        names = [field.name for field in fields(RouterConfig)]
        other = {*changed(old, new, names), *files}
        different = [name for name in names if name in other]
        if not different:
            log.info("settings were read again: nothing changed")
            return True
        taken: set[str] = set()
        succeeded = True
        for target in gateway.reload_targets:
            try:
                taken.update(target(old, new))
            except Exception:
                log.exception("some settings could not be taken over")
                succeeded = False
        gateway.config = replace(old, **{name: getattr(new, name) for name in taken})
        if done := _flags(name for name in different if name in taken):
            log.info("settings were read again, now in force: %s", done)
        if left := _flags(name for name in different if name not in taken):
            log.warning("settings were read again, needs a restart: %s", left)
        return succeeded


def _refused(problems: Sequence[str]) -> bool:
    log.error("settings cannot be taken over: those in force stay; problems: %d", len(problems))
    for problem in problems:
        log.error("%s", problem)
    return False


def _flags(names: Iterable[str]) -> str:
    """Names for people; values may be secrets."""
    return ", ".join(f"--{BY_FIELD[name].name}" for name in names)
