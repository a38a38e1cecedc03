"""What every test gets: `async def` tests run on uvloop with leak checks, and a few shared
fixtures.

See docs/develop/testing.md for how to write tests with them.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from tests.doubles import plain

# A tokenizer that is not there is not looked for on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

if os.environ.get("SMG_PLAIN") == "1":
    plain.install()

from tests.doubles.loop import run_async

pytest.register_assert_rewrite("tests.e2e.sdk_suite")

T = TypeVar("T")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests ourselves: a plug-in would hide what is left on the loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    marker = pyfuncitem.get_closest_marker("limit")
    run_async(pyfuncitem.obj(**arguments), **({"limit": marker.args[0]} if marker else {}))
    return True


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """`run(coroutine)`: the same loop and checks for tests that cannot be `async def` (hypothesis,
    threads).
    """
    return run_async


@pytest.fixture(scope="session")
def sim_stack() -> Iterator[Any]:
    """A gateway process over two simulated workers, shared by the whole run; `.url`, `.port`,
    `.log()`.
    """
    from tests.doubles.gateway import GatewayProcess

    # The tests that share it make workers fail on purpose: nobody may be the worse for it later.
    unmoved = ("--router-disable-circuit-breaker", "--router-disable-retries")
    command = ("serve", "--backend", "sim", "--data-parallel-size", "2", *unmoved)
    with GatewayProcess(*command) as process:
        yield process
