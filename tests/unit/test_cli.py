"""The `smg` command: rows of cli 14 that concern the command line itself."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import smg
import smg.app.main
import smg.serve
from smg import cli, launch_router
from smg.config.parse import Loaded
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError

VERSION = f"smg {smg.__version__}"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RouterConfig]:
    """Configurations the gateway was started with; nothing really starts."""
    configs: list[RouterConfig] = []

    def run(config: RouterConfig, *, reload: Callable[[], Loaded]) -> int:
        assert reload().config == config
        configs.append(config)
        return 0

    monkeypatch.setattr(smg.app.main, "run", run, raising=False)
    monkeypatch.delenv("SMG_API_KEY", raising=False)
    return configs


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], 1),
        (["server", "--help"], 1),
        (["nonsense"], 1),
        (["--help"], 0),
        (["-h"], 0),
        (["help"], 0),
    ],
)
def test_top_level_help(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == code
    out, err = capsys.readouterr()
    assert "launch" in out
    assert "serve" in out
    assert "server" not in out
    assert err == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["--version"],
        ["-V"],
        ["launch", "--bogus", "--version"],
        ["start", "-V"],
        ["--port", "x", "--version"],
        ["check", "--version"],
        ["serve", "--version"],
        ["--version", "serve"],
    ],
)
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 0
    assert capsys.readouterr().out == VERSION + "\n"


def test_verbose_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--bogus", "--version-verbose"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [VERSION, ""]
    assert [line for line in lines if line.endswith(":")] == [
        "Build Information:",
        "Version Control:",
        "Compiler:",
    ]


@pytest.mark.parametrize("command", [["launch"], ["start"], []])
def test_three_ways_to_launch(command: list[str], started: list[RouterConfig]) -> None:
    assert cli.main([*command, "--worker-urls", "http://a:1", "http://b:2"]) == 0
    assert started == [RouterConfig(worker_urls=("http://a:1", "http://b:2"))]


def test_launch_help_lists_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["launch", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--worker-urls URL ..." in out
    assert "Health Checks:" in out
    assert "--enable-mesh" not in out


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--bogus"], 2),
        (["launch", "--port", "70000"], 2),
        (["--port", "1", "launch"], 2),
        (["launch", "word"], 2),
        (["launch", "--config", "x.ini"], 2),
        (["launch", "--prefill", "http://p:1", "99999"], 2),
        (["launch", "--worker-urls", "a:8000"], 1),
        (["launch", "--worker-urls", "HTTP://a:1"], 1),
        (["launch", "--host", "nosuch.invalid"], 1),
        (["launch", "--enable-mesh"], 1),
    ],
)
def test_exit_codes(
    argv: list[str],
    code: int,
    started: list[RouterConfig],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert started == []


def test_check(started: list[RouterConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--worker-urls", "http://a:1"]) == 0
    assert capsys.readouterr().out == "ok\n"
    assert cli.main(["check", "--port", "0", "--max-payload-size", "0", "--api-key", "hu sh"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "--port",
        "--max-payload-size",
        "--api-key",
    ]
    assert "hu sh" not in err
    assert cli.main(["check", "--bogus"]) == 2
    assert started == []


def test_warnings_go_to_stderr(
    started: list[RouterConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--policy", "random", "--cache-threshold", "0.5"]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "warning: --cache-threshold: has no effect with --policy random\n"


def test_exit_code_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smg.app.main, "run", lambda config, reload: 3, raising=False)
    assert cli.main(["launch"]) == 3


def test_start_up_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: RouterConfig, *, reload: object) -> int:
        raise ConfigError(["--port: 30000 is in use"])

    monkeypatch.setattr(smg.app.main, "run", run, raising=False)
    assert cli.main(["launch"]) == 1
    assert capsys.readouterr().err == "--port: 30000 is in use\n"


def test_serve_gets_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def main(argv: list[str]) -> int:
        seen.append(argv)
        return 7

    monkeypatch.setattr(smg.serve, "main", main, raising=False)
    assert cli.main(["serve", "--backend", "sim", "--version"]) == 7
    assert cli.main(["serve", "--help"]) == 7
    assert seen == [["--backend", "sim", "--version"], ["--help"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_banner_only_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RouterConfig(host="::1", backend="vllm")
    launch_router.print_banner(config)
    assert capsys.readouterr().out == ""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    launch_router.print_banner(RouterConfig(log_json=True))
    assert screen.getvalue() == ""
    launch_router.print_banner(config)
    for text in (
        "Shepherd Model Gateway",
        f"version  {smg.__version__}",
        "listening  [::1]:30000",
        "mode  Regular (vllm)",
    ):
        assert text in screen.getvalue()


def python(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("module", ["smg", "smg.cli", "smg.launch_router"])
def test_as_modules(module: str) -> None:
    done = python("-m", module, "--version")
    assert (done.returncode, done.stdout) == (0, VERSION + "\n")


HEAVY = (
    "asyncio",
    "uvloop",
    "yaml",
    "httptools",
    "orjson",
    "argparse",
    "typing",
    "importlib.metadata",
)


def test_version_imports_nothing_heavy() -> None:
    """Start-up time as a rule that does not depend on the machine."""
    code = (
        "import sys; from smg.cli import main; before = main(['--version']);"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    # -S -E: no site packages, whose .pth files may import anything.
    done = python("-S", "-E", "-c", code)
    assert done.stdout.splitlines() == [VERSION, "[]"], done.stderr


def test_check_imports_no_event_loop() -> None:
    code = (
        "import sys; from smg.cli import main; main(['check', '--host', '127.0.0.1']);"
        "print(sorted(set(sys.modules) & {'asyncio', 'uvloop', 'httptools', 'orjson', 'yaml'}))"
    )
    assert python("-S", "-E", "-c", code).stdout.splitlines() == ["ok", "[]"]
