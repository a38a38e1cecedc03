"""From flags and files to limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from smg.app.limits import LimitFiles, overload_settings, read_files, slot_settings
from smg.backends.http.pd.slots import SlotSettings
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.launch_router import check
from smg.reliability.classes import BULK, DEFAULT, INTERACTIVE
from smg.reliability.overload import OverloadSettings
from tests.meta.project import ROOT

EXAMPLES = ROOT / "docs" / "examples"


def test_the_examples_are_good() -> None:
    files = read_files(
        RouterConfig(
            priority_scheduler_enabled=True,
            priority_scheduler_config=str(EXAMPLES / "priority-classes.yaml"),
            tenant_rate_limit_enabled=True,
            tenant_rate_limit_config=str(EXAMPLES / "tenant-limits.yaml"),
        )
    )
    assert files.scheduler is not None
    assert files.tenants is not None
    assert files.scheduler.capacity == 100
    assert files.scheduler.clamp(0, "auth:chat-frontend") == INTERACTIVE
    assert files.scheduler.clamp(0, "auth:nightly-jobs") == BULK
    assert files.scheduler.clamp(0, "anonymous") == DEFAULT
    assert files.tenants.of("anonymous").requests_per_minute == 60
    assert files.tenants.of("ip:10.0.0.7").is_unlimited


def test_what_is_off_is_not_read() -> None:
    config = RouterConfig(priority_scheduler_config="/nowhere", tenant_rate_limit_config="/nowhere")
    assert read_files(config) == LimitFiles()


def test_every_mistake_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("clases: {}")
    config = RouterConfig(
        priority_scheduler_enabled=True,
        priority_scheduler_config=str(bad),
        tenant_rate_limit_enabled=True,
        tenant_rate_limit_config=str(tmp_path),
    )
    with pytest.raises(ConfigError) as caught:
        read_files(config)
    first, second = caught.value.problems
    assert first.startswith(f"--priority-scheduler-config: {bad}: ")
    assert "clases" in first
    assert second == f"--tenant-rate-limit-config: {tmp_path}: Is a directory"


def test_what_the_files_changed(tmp_path: Path) -> None:
    path = tmp_path / "priority.yaml"
    path.write_text("capacity: 500")
    config = RouterConfig(priority_scheduler_enabled=True, priority_scheduler_config=str(path))
    before = read_files(config)
    assert before.differs(read_files(config)) == []
    path.write_text("capacity: 501")
    assert before.differs(read_files(config)) == ["priority_scheduler_config"]
    assert LimitFiles().differs(before) == ["priority_scheduler_config"]


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (RouterConfig(), OverloadSettings()),
        (RouterConfig(worker_overload_protection=True), OverloadSettings(None, 0.9)),
        (RouterConfig(worker_overload_waiting_requests=3), OverloadSettings(3, None)),
        (
            RouterConfig(worker_overload_protection=True, worker_overload_token_usage=0.5),
            OverloadSettings(None, 0.5),
        ),
    ],
)
def test_overload(config: RouterConfig, settings: OverloadSettings) -> None:
    assert overload_settings(config) == settings


def test_smg_check_reads_the_files_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants: [{tenant_key: nobody}]")
    flags = ("--tenant-rate-limit-enabled", "--tenant-rate-limit-config", str(path))
    assert check(flags) == 1
    assert "'nobody' is not a tenant key" in capsys.readouterr().err
    path.write_text("")
    assert check(flags) == 0
    assert capsys.readouterr().out == "ok\n"
    assert check(["--tenant-rate-limit-enabled", "--worker-overload-token-usage", "0"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "--worker-overload-token-usage: must be above 0, or every worker is left out",
        "--tenant-rate-limit-enabled: needs --tenant-rate-limit-config",
    ]


def test_slots_of_prefill_workers() -> None:
    assert slot_settings(RouterConfig()) is None
    for off in (0, -5):
        config = RouterConfig(prefill_max_inflight_requests_per_worker=off, prefill_queue_size=3)
        assert slot_settings(config) is None
    config = RouterConfig(prefill_max_inflight_requests_per_worker=2)
    assert slot_settings(config) == SlotSettings(2, 100, 60.0)
    config = RouterConfig(
        prefill_max_inflight_requests_per_worker=2,
        prefill_queue_size=0,
        prefill_queue_timeout_secs=7,
    )
    assert slot_settings(config) == SlotSettings(2, 0, 7.0)
