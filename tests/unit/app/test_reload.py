"""The reloader with targets of the test: what is read, when, and what is said about it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from smg.app.reload import ReloadCheck, Reloader, ReloadTarget, changed
from smg.config.grammar import UsageError
from smg.config.parse import Loaded
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry

OLD = RouterConfig(port=1, log_level="info", api_key="key-of-old")
PATIENCE = 20.0


class Stage:
    """A gateway that is nothing but settings, and whatever `load` returns or raises."""

    def __init__(self, *targets: ReloadTarget) -> None:
        self.config = OLD
        self.metrics = GatewayMetrics(Registry())
        self.reload_targets = targets
        self.reload_checks: tuple[ReloadCheck, ...] = ()
        self.new: RouterConfig | Exception = OLD
        self.warnings: tuple[str, ...] = ()
        self.calls: list[str] = []
        self.reloader = Reloader(
            self,
            self.load,
            begins=lambda: self.calls.append("begins"),
            ends=lambda: self.calls.append("ends"),
        )

    def load(self) -> Loaded:
        self.calls.append("load")
        if isinstance(self.new, Exception):
            raise self.new
        return Loaded(self.new, self.warnings)

    async def reload(self, new: RouterConfig | Exception) -> None:
        self.new = new
        count = len(self.calls)
        self.reloader.request()
        while "ends" not in self.calls[count:]:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        await self.reloader.close()

    def outcome(self) -> tuple[float, float, float]:
        """Whether the last was good; how many were, how many were not."""
        reloads = self.metrics.config_reloads
        return (
            self.metrics.config_last_reload_successful.labels().value,
            reloads.labels("success").value,
            reloads.labels("failed").value,
        )


def taking(*names: str) -> Callable[[RouterConfig, RouterConfig], Collection[str]]:
    return lambda old, new: changed(old, new, names)


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "smg.app.reload"
    ]


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smg.app.reload")


async def test_what_is_taken_over_and_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(taking("log_level"), taking("api_key", "cors_allowed_origins"))
    new = replace(OLD, log_level="debug", api_key="key-of-new", port=2, policy="random")
    await stage.reload(new)
    assert stage.config == replace(OLD, log_level="debug", api_key="key-of-new")
    assert messages(caplog) == [
        ("INFO", "settings were read again, now in force: --api-key, --log-level"),
        ("WARNING", "settings were read again, needs a restart: --port, --policy"),
    ]
    assert "key-of" not in caplog.text
    assert stage.outcome() == (1, 1, 0)
    assert stage.calls == ["begins", "load", "ends"]


async def test_what_waits_is_named_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(taking("log_level"))
    await stage.reload(replace(OLD, port=2))
    await stage.reload(replace(OLD, port=2, log_level="warn"))
    assert [text for _, text in messages(caplog)] == [
        "settings were read again, needs a restart: --port",
        "settings were read again, now in force: --log-level",
        "settings were read again, needs a restart: --port",
    ]


async def test_nothing_changed(caplog: pytest.LogCaptureFixture) -> None:
    def never(old: RouterConfig, new: RouterConfig) -> list[str]:
        raise AssertionError("nothing to take over")

    stage = Stage(never)
    await stage.reload(OLD)
    assert messages(caplog) == [("INFO", "settings were read again: nothing changed")]
    assert stage.outcome() == (1, 1, 0)


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (ConfigError(["--port: bad", "--policy: worse"]), ["--port: bad", "--policy: worse"]),
        (UsageError("--config: x.ini: must end in .yaml"), ["--config: x.ini: must end in .yaml"]),
    ],
)
async def test_a_mistake_changes_nothing(
    error: Exception, problems: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(taking("log_level"))
    await stage.reload(error)
    assert stage.config is OLD
    first, *rest = messages(caplog)
    assert first[0] == "ERROR"
    assert "those in force stay" in first[1]
    assert rest == [("ERROR", problem) for problem in problems]
    assert stage.outcome() == (0, 0, 1)
    await stage.reload(replace(OLD, log_level="warn"))
    assert stage.outcome() == (1, 1, 1)


async def test_a_fault_of_ours_changes_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(taking("log_level"))
    await stage.reload(RuntimeError("a fault"))
    assert stage.config is OLD
    assert stage.outcome() == (0, 0, 1)
    assert stage.calls[-1] == "ends"


async def test_a_target_that_fails_keeps_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def fails(old: RouterConfig, new: RouterConfig) -> list[str]:
        raise RuntimeError("a fault")

    stage = Stage(fails, taking("log_level"))
    await stage.reload(replace(OLD, log_level="warn", api_key="key-of-new"))
    assert stage.config == replace(OLD, log_level="warn")
    assert stage.outcome() == (0, 0, 1)
    assert messages(caplog)[-1][1].endswith("needs a restart: --api-key")


async def test_warnings_are_said(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(taking("log_level"))
    stage.warnings = ("--cache-threshold: has no effect",)
    await stage.reload(replace(OLD, log_level="warn"))
    assert messages(caplog)[0] == ("WARNING", "--cache-threshold: has no effect")


async def test_nothing_to_read(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    reloader = Reloader(stage, None)
    reloader.request()
    while not messages(caplog):
        await asyncio.sleep(0)
    await reloader.close()
    assert messages(caplog) == [("INFO", "there are no settings to read again")]


async def test_one_reading_at_a_time_and_one_more_if_asked_meanwhile() -> None:
    stage = Stage(taking("log_level"))
    reading, go_on = threading.Event(), threading.Event()

    def load() -> Loaded:
        stage.calls.append("load")
        reading.set()
        assert go_on.wait(PATIENCE)
        return Loaded(replace(OLD, log_level="warn"), ())

    reloader = Reloader(stage, load)
    reloader.request()
    assert await asyncio.to_thread(reading.wait, PATIENCE)
    for _ in range(5):
        reloader.request()
    go_on.set()
    while stage.outcome()[1] < 2:
        await asyncio.sleep(0.001)
    assert stage.calls.count("load") == 2
    reloader.request()
    while stage.outcome()[1] < 3:
        await asyncio.sleep(0.001)
    await reloader.close()


async def test_a_reading_that_comes_too_late_changes_nothing() -> None:
    stage = Stage(taking("log_level"))
    reading, go_on = threading.Event(), threading.Event()

    def load() -> Loaded:
        reading.set()
        assert go_on.wait(PATIENCE)
        return Loaded(replace(OLD, log_level="warn"), ())

    reloader = Reloader(stage, load)
    reloader.request()
    assert await asyncio.to_thread(reading.wait, PATIENCE)
    closing = asyncio.ensure_future(reloader.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    assert stage.config is OLD
