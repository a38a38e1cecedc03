"""`smg workers`: list, get, add, set, remove, drain, watch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from smg.console.errors import run_guarded
from smg.console.info import Info
from smg.console.jobs import Waiter
from smg.console.options import connect
from smg.console.text import plain, short_id
from smg.console.workers_api import WorkersApi
from smg.console.workers_options import parse, patch_of, spec_of

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """Run `smg workers`; returns the exit code: 0, 1 (refused), 2 (usage), 3 (unreachable)."""
    try:
        arguments = parse(argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    command = _COMMANDS[arguments.command]
    return run_guarded(lambda: command(arguments), as_json=arguments.json)


def _api(arguments: argparse.Namespace) -> WorkersApi:
    return WorkersApi(connect(arguments))


def _list(arguments: argparse.Namespace) -> int:
    from smg.console.screen import console_on, is_screen, show, show_json, speaks_unicode, width_of
    from smg.console.tables import summary, workers_table

    answer = _api(arguments).listing(arguments.model)
    if arguments.json:
        show_json(answer)
        return 0
    console = console_on()
    workers = answer["workers"]
    mark = "…" if speaks_unicode(console) else "~"
    if workers:
        show(console, workers_table(workers, width_of(console), mark=mark))
    if is_screen(console) or not workers:
        # In a pipe the rows are for the next program.
        show(console, summary(workers))
    return 0


def _get(arguments: argparse.Namespace) -> int:
    api = _api(arguments)
    _show_worker(api.get(api.find(arguments.target)), arguments)
    return 0


def _add(arguments: argparse.Namespace) -> int:
    spec = spec_of(arguments, os.environ)
    api = _api(arguments)
    answer = api.add(spec)
    worker_id = str(answer.get("worker_id", ""))
    if arguments.wait is None:
        return _done(answer, f"added {short_id(worker_id)}, on its way in", arguments)
    info = _waited(api, worker_id, arguments.wait, Waiter.until_ready)
    return _done(info, f"ready: {worker_id}", arguments)


def _set(arguments: argparse.Namespace) -> int:
    patch = patch_of(arguments, os.environ)
    api = _api(arguments)
    worker_id = api.find(arguments.target)
    answer = api.change(worker_id, patch)
    if arguments.wait is None:
        return _done(answer, f"change of {short_id(worker_id)} accepted", arguments)
    info = _waited(api, worker_id, arguments.wait, Waiter.until_changed)
    return _done(info, f"changed: {worker_id}", arguments)


def _remove(arguments: argparse.Namespace) -> int:
    api = _api(arguments)
    worker_id = api.find(arguments.target)
    answer = api.remove(worker_id)
    if arguments.wait is None:
        return _done(answer, f"{short_id(worker_id)} is draining, then removed", arguments)
    _waited(api, worker_id, arguments.wait, Waiter.until_removed)
    return _done({"status": "removed", "worker_id": worker_id}, f"removed: {worker_id}", arguments)


def _watch(arguments: argparse.Namespace) -> int:
    from smg.console.screen import console_on, is_screen
    from smg.console.watch import watch_lines, watch_table

    api = _api(arguments)
    console = console_on()

    def poll() -> list[Info]:
        return api.workers(arguments.model)

    if is_screen(console) and not arguments.json:
        return watch_table(poll, arguments.interval, console)
    return watch_lines(poll, arguments.interval, as_json=arguments.json)


def _waited(api: WorkersApi, worker_id: str, seconds: float, how: Callable[[Waiter], T]) -> T:
    """Wait in one of the ways a `Waiter` knows, and show how it goes."""
    from smg.console.screen import Progress

    with Progress() as progress:
        return how(Waiter(api, worker_id, seconds, progress.say))


def _done(value: Info, text: str, arguments: argparse.Namespace) -> int:
    from smg.console.screen import show_json

    if arguments.json:
        show_json(value)
    else:
        print(plain(text))
    return 0


def _show_worker(info: Info, arguments: argparse.Namespace) -> None:
    from smg.console.screen import console_on, show, show_json
    from smg.console.tables import worker_table

    if arguments.json:
        show_json(info)
    else:
        show(console_on(), worker_table(info))


_COMMANDS = {
    "list": _list,
    "get": _get,
    "add": _add,
    "set": _set,
    "remove": _remove,
    "drain": _remove,
    "watch": _watch,
}
