"""Runs a test's coroutine on a fresh loop and fails it for whatever it leaves behind.

What fails a test besides its own assertions: an error that reaches the loop's exception handler, a
task still alive after the test, a socket still open, and taking longer than the limit. Waiting for
an orderly end is given `SETTLE_SECS`, because closing a transport takes a few loop turns.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

LIMIT_SECS = 60.0
SETTLE_SECS = 2.0
FD_DIR = "/proc/self/fd"


class LeakError(AssertionError):
    """The test left tasks or sockets behind, or an error nobody handled."""


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop, or the standard loop with SMG_TEST_LOOP=asyncio; SMG_TEST_DEBUG=1 turns debug mode
    on.
    """
    loop: asyncio.AbstractEventLoop
    if os.environ.get("SMG_TEST_LOOP") == "asyncio":
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    loop.set_debug(os.environ.get("SMG_TEST_DEBUG") == "1")
    return loop


def open_sockets() -> set[str]:
    """The sockets of this process by inode; empty where /proc does not exist (then nothing is
    checked).
    """
    found = set()
    try:
        names = os.listdir(FD_DIR)
    except OSError:
        return set()
    for name in names:
        try:
            target = os.readlink(f"{FD_DIR}/{name}")
        except OSError:  # closed since the listing
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def run_async(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    limit: float = LIMIT_SECS,
    settle: float = SETTLE_SECS,
) -> T:
    """Run `main` to its end on a loop of its own and return its result; see the module for what
    fails.
    """
    coroutine = main if asyncio.iscoroutine(main) else main()
    loop = new_loop()
    problems: list[str] = []

    def on_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        problems.append(f"loop error: {context.get('message')}: {error!r}")

    loop.set_exception_handler(on_error)
    try:
        result: T = loop.run_until_complete(_supervise(coroutine, limit, settle, problems))
        gc.collect()  # "exception was never retrieved" is said by destructors
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        _end_tasks(loop)
        loop.close()
    if problems:
        raise LeakError("; ".join(problems))
    return result


async def _supervise(
    coroutine: Coroutine[Any, Any, T], limit: float, settle: float, problems: list[str]
) -> T:
    loop = asyncio.get_running_loop()
    before = open_sockets()  # inside the loop: its own wake-up sockets exist by now
    me = asyncio.current_task()
    task = loop.create_task(coroutine, name="test")
    await asyncio.wait({task}, timeout=limit)
    if not task.done():
        where = _waiting_in(coroutine)
        raise TimeoutError(f"the test took longer than {limit:g} s, waiting in {where}")
    result = task.result()

    def left() -> tuple[list[str], set[str]]:
        tasks = [_describe(task) for task in asyncio.all_tasks() if task is not me]
        return tasks, open_sockets() - before

    end = loop.time() + settle
    tasks, sockets = left()
    while (tasks or sockets) and loop.time() < end:
        await asyncio.sleep(0.005)
        tasks, sockets = left()
    if tasks:
        problems.append(f"tasks left running: {', '.join(tasks)}")
    if sockets:
        problems.append(f"sockets left open: {_name_sockets(sockets)}")
    return result


def _waiting_in(coroutine: Any) -> str:
    """Where a suspended coroutine stands, innermost call last."""
    places = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(places)


def _describe(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')})"


def _name_sockets(inodes: set[str]) -> str:
    """Addresses of the sockets, so that a leak can be told apart without a debugger."""
    wanted = {inode[len("socket:[") : -1] for inode in inodes}
    lines = []
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{table}") as rows:
                for row in list(rows)[1:]:
                    fields = row.split()
                    if fields[9] in wanted:
                        local, remote = (int(part.split(":")[1], 16) for part in fields[1:3])
                        lines.append(f"{table} port {local} to {remote}")
        except OSError:
            pass
    return ", ".join(lines) or f"{len(inodes)} not TCP"


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, so that one leak does not disturb the next test."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
