"""The gateway as a long-running process: what systemd hears, SIGHUP, a loop that is stuck."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.doubles.gateway import GatewayProcess, free_port
from tests.doubles.service_manager import ServiceManager
from tests.doubles.sim import SimProcess
from tests.doubles.stuck_policy import STICK, STUCK, VARIABLE
from tests.meta.project import ROOT

OLD, NEW = "key-that-was", "key-that-is"
SECRET = "key-in-a-broken-file"
PATIENCE = 20.0
GRACE = "--shutdown-grace-period-secs"
STILL = "the event loop stands still"


@pytest.fixture
def systemd() -> Iterator[ServiceManager]:
    with ServiceManager() as manager:
        yield manager


def launch(*flags: str, env: dict[str, str] | None = None) -> GatewayProcess:
    """A gateway without workers; `started` waits until it listens."""
    return GatewayProcess("launch", *flags, env=env, wait_ready=False)


@contextmanager
def started(gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    with gateway:
        gateway.answers("/health")
        yield gateway


def status(url: str, key: str | None = None) -> int:
    """Of a GET with that key."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def wait_for_log(gateway: GatewayProcess, text: str, times: int = 1) -> None:
    end = time.monotonic() + PATIENCE
    while gateway.log().count(text) < times:
        assert time.monotonic() < end, f"no {text!r}:\n{gateway.log()}"
        time.sleep(0.01)


# -- systemd --------------------------------------------------------------------------------------


def test_ready_means_that_it_listens(systemd: ServiceManager) -> None:
    with launch(GRACE, "0", env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")
        assert status(f"{gateway.url}/health") == 200
        assert status(f"{gateway.url}/readiness") == 503
        assert systemd.wait_for("STATUS=") == "STATUS=0 of 0 workers healthy"


def test_a_gateway_that_cannot_start_is_never_ready(systemd: ServiceManager) -> None:
    with started(launch(GRACE, "0")) as other:
        gateway = launch("--port", str(other.port), env=systemd.env())
        with gateway:
            assert gateway.wait() == 1
            assert f"cannot listen on 127.0.0.1:{other.port}" in gateway.log()
            assert "--host/--port" in gateway.log()
    assert systemd.drain() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_announced(systemd: ServiceManager, number: signal.Signals) -> None:
    with launch(GRACE, "1", env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")
        gateway.signal(number)
        systemd.wait_for("STOPPING=1")
        systemd.wait_for("EXTEND_TIMEOUT_USEC=")
        assert gateway.process is not None
        assert gateway.process.poll() is None  # half a second for load balancers
        assert gateway.wait() == 0
    assert "READY=1" not in systemd.drain()


def test_workers_show_in_the_status(systemd: ServiceManager) -> None:
    with SimProcess() as worker:
        flags = ("--worker-urls", worker.url, GRACE, "0")
        with GatewayProcess("launch", *flags, env=systemd.env()):
            systemd.wait_for("STATUS=1 of 1 workers healthy")


def test_a_reload_is_announced(systemd: ServiceManager) -> None:
    with launch(GRACE, "0", env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")
        gateway.signal(signal.SIGHUP)
        systemd.wait_for("RELOADING=1")
        systemd.wait_for("MONOTONIC_USEC=")
        systemd.wait_for("READY=1")


def test_a_stuck_loop_gives_no_sign_of_life(
    systemd: ServiceManager, tmp_path: pathlib.Path
) -> None:
    """Three who notice: systemd by silence, the log by a stack, metrics by a count."""
    stuck = tmp_path / "stuck"
    env = systemd.env(WATCHDOG_USEC=400_000, PYTHONPATH=ROOT) | {VARIABLE: str(stuck)}
    flags = ("--policy", STUCK, "--log-json", GRACE, "0")
    with (
        SimProcess() as worker,
        GatewayProcess("launch", "--worker-urls", worker.url, *flags, env=env) as gateway,
    ):
        for _ in range(3):
            systemd.wait_for("WATCHDOG=1")
        stuck.touch()
        answers: list[int] = []
        client = threading.Thread(target=lambda: answers.append(chat(gateway)))
        client.start()
        wait_for_log(gateway, STILL)
        systemd.drain()
        assert systemd.receive(1.0) == []  # five signs of life are missing
        assert answers == []
        stuck.unlink()
        systemd.wait_for("WATCHDOG=1")
        client.join()
        assert answers == [200]
        wait_for_log(gateway, "the event loop goes on")
        samples = gateway.metrics()
        assert samples.value("smg_loop_stalls_total") >= 1
        assert samples.value("smg_loop_stall_max_seconds") >= 1.0
        lines = [json.loads(line) for line in gateway.log().splitlines() if "{" in line]
        stacks = [line["stack"] for line in lines if line["message"] == STILL]
        (stack,) = (stack for stack in stacks if "stuck_policy.wait_until_gone:" in stack)
        assert "select:" in stack


def chat(gateway: GatewayProcess) -> int:
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    request = urllib.request.Request(
        f"{gateway.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **STICK},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return int(answer.status)


def test_an_abort_leaves_stacks(systemd: ServiceManager) -> None:
    """What systemd does to a gateway without a sign of life."""
    with launch(env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")
        gateway.signal(signal.SIGABRT)
        assert gateway.wait() == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in gateway.log()


# -- SIGHUP ---------------------------------------------------------------------------------------


def settings(path: pathlib.Path, text: str) -> None:
    """Write the file as an editor does: all at once."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").chmod(0o600)
    path.with_suffix(".new").replace(path)


def test_another_key_in_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "smg.yaml"
    settings(path, f"api-key: {OLD}\n")
    with started(launch("--config", str(path), GRACE, "0")) as gateway:
        url = f"{gateway.url}/workers"
        assert (status(url, OLD), status(url, NEW)) == (200, 401)
        settings(path, f"api-key: {NEW}\nmax-payload-size: 1000\n")
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "needs a restart: --max-payload-size")
        assert (status(url, OLD), status(url, NEW)) == (401, 200)
        assert "now in force: --api-key" in gateway.log()

        settings(path, f"api-key: [{SECRET}\n")
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "those in force stay")
        wait_for_log(gateway, "is not valid YAML")
        settings(path, f"api-key: {SECRET}\nbogus: 1\npolicy: nonsense\nport: 0\n")
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "those in force stay", times=2)
        for problem in ("bogus: unknown key", "policy: must be one of"):
            wait_for_log(gateway, problem)
        path.unlink()
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "No such file")
        assert (status(url, OLD), status(url, NEW), status(url, SECRET)) == (401, 200, 401)
        samples = gateway.metrics()
        assert samples.value("smg_config_last_reload_successful") == 0
        assert samples.value("smg_config_reloads_total", result="failed") == 3
        assert samples.value("smg_config_reloads_total", result="success") == 1
        for secret in (OLD, NEW, SECRET):
            assert secret not in gateway.log()


def test_a_reload_of_serve_keeps_its_workers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "smg.yaml"
    settings(path, f"api-key: {OLD}\n")
    flags = ("--backend", "sim", "--data-parallel-size", "2", "--router-config", str(path))
    with GatewayProcess("serve", *flags, f"--router-{GRACE[2:]}", "0") as gateway:
        settings(path, f"api-key: {NEW}\n")
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "now in force: --api-key")
        assert "needs a restart" not in gateway.log()
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{gateway.url}/workers", headers={"Authorization": f"Bearer {NEW}"}
            ),
            timeout=5,
        ) as answer:
            assert json.load(answer)["total"] == 2


def test_log_files_may_be_moved_away(tmp_path: pathlib.Path) -> None:
    with started(launch("--log-dir", str(tmp_path), GRACE, "0")) as gateway:
        (first,) = tmp_path.glob("smg.*.log")
        first.rename(tmp_path / "kept")
        gateway.signal(signal.SIGHUP)
        wait_for_log(gateway, "nothing changed")
        assert status(f"{gateway.url}/nowhere") == 404
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
    assert "Router ready" in (tmp_path / "kept").read_text()
    assert "/nowhere" in first.read_text()
    assert "/nowhere" not in (tmp_path / "kept").read_text()


def test_a_reload_while_it_drains_is_left_out(systemd: ServiceManager) -> None:
    with launch(GRACE, "2", env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")
        gateway.signal(signal.SIGTERM)
        systemd.wait_for("STOPPING=1")
        gateway.signal(signal.SIGHUP)
        assert gateway.wait() == 0
        assert "settings" not in gateway.log()
    assert "RELOADING=1" not in systemd.drain()


# -- a terminal that closes -----------------------------------------------------------------------

# Makes stdin the controlling terminal of a session of its own, then becomes the gateway.
IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "smg", *sys.argv[2:]])
"""


class Terminal:
    """A gateway that somebody started by hand."""

    def __init__(self, folder: pathlib.Path, how: str) -> None:
        self.port = free_port()
        self.master, slave = os.openpty()
        self.log = folder / "log"
        flags = ["--host", "127.0.0.1", "--port", str(self.port), GRACE, "0"]
        metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IN_A_TERMINAL, how, "launch", *flags, *metrics],
                stdin=slave,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        os.close(slave)

    def __enter__(self) -> Terminal:
        self.wait_for("Router ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.log.read_text():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def close(self) -> None:
        os.close(self.master)


def test_a_closed_terminal_ends_it(tmp_path: pathlib.Path) -> None:
    with Terminal(tmp_path, "plain") as terminal:
        terminal.process.send_signal(signal.SIGHUP)
        terminal.wait_for("nothing changed")  # the terminal is there: a reload
        terminal.close()
        assert terminal.process.wait(PATIENCE) == 0
        assert "received SIGHUP: draining" in terminal.log.read_text()


def test_under_nohup_it_goes_on(tmp_path: pathlib.Path) -> None:
    with Terminal(tmp_path, "nohup") as terminal:
        terminal.close()
        terminal.wait_for("nothing changed")
        assert status(f"http://127.0.0.1:{terminal.port}/health") == 200
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(PATIENCE) == 0
