"""`smg workers watch`: the list as it changes, on a terminal as a table, else line by line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from smg.console.errors import ConsoleError
from smg.console.info import Info, status_of
from smg.console.live import Poller, run_live
from smg.console.screen import speaks_unicode
from smg.console.tables import summary, workers_table
from smg.console.text import plain

#: what counts as a change; the load changes all the time
WATCHED = ("status", "model_id", "models", "url", "worker_type", "priority", "cost", "labels")


@dataclass(frozen=True)
class Change:
    """One difference between two lists. `before` has the old values of what changed."""

    event: str  # present, added, changed, removed
    worker: Info
    before: Info = field(default_factory=dict)

    def line(self) -> str:
        """For people: `changed  http://...  status ready -> not_ready`."""
        if self.event != "changed":
            what = status_of(self.worker)
        else:
            what = ", ".join(
                f"{name} {_short(old)} -> {_short(self.worker.get(name))}"
                for name, old in self.before.items()
            )
        return plain(f"{self.event:8} {self.worker.get('url', '-')}  {what}")


def changes(before: Sequence[Info] | None, after: Sequence[Info]) -> list[Change]:
    """What happened between two lists; all are `present` when there is no first one."""
    new = {str(info.get("id")): info for info in after}
    if before is None:
        return [Change("present", info) for info in new.values()]
    old = {str(info.get("id")): info for info in before}
    found = []
    for name, info in new.items():
        if name not in old:
            found.append(Change("added", info))
            continue
        differing = {
            key: old[name].get(key) for key in WATCHED if old[name].get(key) != info.get(key)
        }
        if differing:
            found.append(Change("changed", info, differing))
    found += [Change("removed", info) for name, info in old.items() if name not in new]
    return found


def watch_lines(
    poll: Callable[[], list[Info]],
    interval: float,
    *,
    as_json: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Print changes until Ctrl-C; returns the exit code. The first answer must come."""
    seen: list[Info] | None = None
    lost = False
    try:
        while True:
            try:
                now = poll()
            except ConsoleError as error:
                if seen is None:
                    raise
                if not lost:
                    print(plain(f"smg: {error}; trying again"), file=sys.stderr, flush=True)
                lost = True
            else:
                for change in changes(seen, now):
                    print(_printed(change, as_json), flush=True)
                seen, lost = now, False
            sleep(interval)
    except KeyboardInterrupt:
        return 0


def watch_table(poll: Callable[[], list[Info]], interval: float, console: Console) -> int:
    """Show the list until q or Ctrl-C; returns the exit code."""

    def picture(workers: list[Info], problem: str | None) -> RenderableType:
        return picture_of(
            workers,
            problem,
            console.width,
            console.height,
            mark="…" if speaks_unicode(console) else "~",
        )

    return run_live(Poller(poll, interval, poll()), picture, console)


def picture_of(
    workers: Sequence[Info], problem: str | None, width: int, height: int, *, mark: str = "…"
) -> RenderableType:
    """The list on a screen of that size; what has no room is counted."""
    notices = [Text(plain(problem), "yellow")] if problem else []
    room = max(1, height - 3 - sum(-(-notice.cell_len // width) for notice in notices))
    shown = sorted(workers, key=lambda info: str(info.get("url", "")))
    if len(shown) > room:
        shown = shown[: max(1, room - 1)]
    parts: list[RenderableType] = [workers_table(shown, width, mark=mark)]
    if len(shown) < len(workers):
        parts.append(Text(f"and {len(workers) - len(shown)} more", "dim"))
    return Group(*parts, Text(), *notices, Text(f"{summary(workers)}  (q quits)", "dim"))


def _printed(change: Change, as_json: bool) -> str:
    clock = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    if not as_json:
        return f"{clock} {change.line()}"
    value: dict[str, Any] = {"time": clock, "event": change.event, "worker": change.worker}
    if change.before:
        value["before"] = change.before
    return json.dumps(value)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
