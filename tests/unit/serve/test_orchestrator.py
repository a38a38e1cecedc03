"""The life of `smg serve` with tiny scripts for workers and a function for the gateway."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from smg.serve import orchestrator as module
from smg.serve.args import ServeArgs
from smg.serve.launchers import BACKEND_LAUNCHERS, Launcher
from smg.serve.orchestrator import ServeOrchestrator, example

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
FAIL = "import sys; print('no such model'); sys.exit(3)"
PARENT = (
    "import subprocess, sys, time; "
    f"print(subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}]).pid, flush=True); "
    "time.sleep(60)"
)


class Scripts(Launcher):
    """Worker `rank` runs `scripts[rank]`."""

    name = "fake"
    connection_modes = ("http",)

    def __init__(self, *scripts: str, healthy: bool = True) -> None:
        self.scripts = list(scripts)
        self.healthy = healthy

    def build_command(
        self, args: ServeArgs, backend_args: Sequence[str], host: str, port: int
    ) -> list[str]:
        return [sys.executable, "-S", "-c", self.scripts.pop(0)]

    def served_model(self, args: ServeArgs, backend_args: Sequence[str]) -> str:
        return "m"

    def health_check(self, args: ServeArgs, host: str, port: int, timeout: float) -> bool:
        return self.healthy


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logger = logging.getLogger("smg.serve")
    logger.handlers.clear()
    logger.propagate = True


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make(
    monkeypatch: pytest.MonkeyPatch,
    launcher: Scripts,
    gateway: Callable[..., int] | None = None,
    **options: Any,
) -> ServeOrchestrator:
    monkeypatch.setitem(BACKEND_LAUNCHERS, "sim", launcher)
    args = ServeArgs(
        backend="sim",
        port=free_port(),
        data_parallel_size=len(launcher.scripts),
        worker_base_port=free_port(),
        **options,
    )
    return ServeOrchestrator("sim", args, [], gateway=gateway or (lambda *_: 0))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pids: Sequence[int]) -> bool:
    end = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_workers_run_while_the_gateway_runs(monkeypatch, capfd):
    seen: dict[str, Any] = {}

    def gateway(config: Any, on_ready: Any, on_signal: Any) -> int:
        seen["urls"] = config.worker_urls
        seen["alive"] = [is_alive(worker.pid) for worker in serve.workers]
        on_ready()
        on_signal(signal.SIGINT)
        return 0

    serve = make(monkeypatch, Scripts(SLEEP, SLEEP), gateway)
    assert serve.run() == 128 + signal.SIGINT
    assert seen["alive"] == [True, True]
    assert len(set(seen["urls"])) == 2
    assert gone([worker.pid for worker in serve.workers])
    output = capfd.readouterr()
    assert f"Listening on http://127.0.0.1:{serve.args.port}, 2 fake workers." in output.out
    assert '"model":"m"' in output.out
    assert "2 workers ready" in output.err


def test_output_is_prefixed(monkeypatch, capfd):
    def gateway(*_: Any) -> int:
        captured = ""
        while "[fake:1] up" not in captured or "[fake:0] up" not in captured:
            captured += capfd.readouterr().err
            time.sleep(0.01)
        return 0

    assert make(monkeypatch, Scripts(SLEEP, SLEEP), gateway).run() == 143


def test_a_worker_that_dies_ends_the_start_at_once(monkeypatch, capfd):
    began = time.monotonic()
    serve = make(monkeypatch, Scripts(SLEEP, FAIL, healthy=False))
    assert serve.run() == 1
    assert time.monotonic() - began < 10
    assert gone([worker.pid for worker in serve.workers])
    errors = capfd.readouterr().err
    assert "worker fake:1 ended with exit code 3 before it was ready" in errors
    assert "[fake:1] no such model" in errors


def test_a_worker_that_is_never_ready(monkeypatch, capfd):
    serve = make(monkeypatch, Scripts(SLEEP, healthy=False), worker_startup_timeout=0.3)
    assert serve.run() == 1
    assert "not ready within 0.3 s: fake:0" in capfd.readouterr().err
    assert gone([worker.pid for worker in serve.workers])


def test_a_signal_during_the_start(monkeypatch):
    serve = make(monkeypatch, Scripts(SLEEP, healthy=False))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert serve.run() == 143
    assert gone([worker.pid for worker in serve.workers])


def test_a_stubborn_worker_is_killed(monkeypatch, capfd):
    monkeypatch.setattr(module, "STOP_SECS", 0.2)

    def gateway(*_: Any) -> int:
        captured = ""
        while "up" not in captured:
            captured += capfd.readouterr().err
            time.sleep(0.01)
        return 0

    serve = make(monkeypatch, Scripts(STUBBORN), gateway)
    assert serve.run() == 143
    assert gone([worker.pid for worker in serve.workers])


def test_what_a_worker_started_goes_with_it(monkeypatch, capfd):
    pids: list[int] = []

    def gateway(*_: Any) -> int:
        captured = ""
        while not pids:
            captured += capfd.readouterr().err
            # The child prints too, through the same pipe.
            words = [line.split()[1] for line in captured.splitlines() if "[fake:0] " in line]
            pids.extend(int(word) for word in words if word.isdigit())
            time.sleep(0.01)
        os.kill(serve.workers[0].pid, signal.SIGKILL)
        return 0

    serve = make(monkeypatch, Scripts(PARENT), gateway)
    assert serve.run() == 143
    assert gone(pids)


def test_a_worker_that_dies_while_serving_is_logged(monkeypatch, capfd):
    def gateway(*_: Any) -> int:
        os.kill(serve.workers[0].pid, signal.SIGKILL)
        captured = ""
        while "worker fake:0 was ended by signal 9" not in captured:
            captured += capfd.readouterr().err
            time.sleep(0.01)
        return 0

    serve = make(monkeypatch, Scripts(SLEEP, SLEEP), gateway)
    assert serve.run() == 143


@pytest.mark.parametrize("count", [1, 2])
def test_one_worker_alone_is_passed_through(monkeypatch, count):
    seen: list[Any] = []

    def gateway(config: Any, *_: Any) -> int:
        seen.append(config)
        return 0

    router = {"policy": "random"}
    make(monkeypatch, Scripts(*[SLEEP] * count), gateway, router=router).run()
    (config,) = seen
    assert config.policy == ("passthrough" if count == 1 else "random")
    assert config.disable_retries is (count == 1)
    assert config.disable_circuit_breaker is (count == 1)


def test_the_engines_key_is_the_gateways(monkeypatch):
    seen: list[Any] = []

    def gateway(config: Any, *_: Any) -> int:
        seen.append(config.api_key)
        return 0

    monkeypatch.delenv("SMG_API_KEY", raising=False)
    for options in ({}, {"router": {"api_key": "own"}}, {"router_disable_arg_fallback": True}):
        serve = make(monkeypatch, Scripts(SLEEP), gateway, **options)
        serve.backend_args = ["--api-key", "k"]
        serve.run()
    assert seen == ["k", "own", None]


def test_mistakes_are_found_before_a_worker_starts(monkeypatch, capfd):
    serve = make(monkeypatch, Scripts(SLEEP), router={"request_timeout_secs": -1})
    assert serve.run() == 1
    assert serve.workers == []
    assert "--request-timeout-secs" in capfd.readouterr().err
    serve = make(monkeypatch, Scripts(SLEEP))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", serve.args.port))
        listener.listen()
        assert serve.run() == 1
    assert serve.workers == []
    assert "cannot listen" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("router", "flag"),
    [
        ({"pd_disaggregation": True}, "--router-pd-disaggregation"),
        ({"decode": ("http://d:1",)}, "--decode"),
    ],
)
def test_pairs_are_not_served(monkeypatch, capfd, router, flag):
    serving = make(monkeypatch, Scripts(SLEEP, SLEEP), router=router)
    assert serving.run() == 1
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"{flag}: ")


def test_a_gateway_that_fails_stops_the_workers(monkeypatch, capfd):
    def gateway(*_: Any) -> int:
        raise RuntimeError("broken on purpose")

    serve = make(monkeypatch, Scripts(SLEEP), gateway)
    assert serve.run() == 1
    assert gone([worker.pid for worker in serve.workers])
    assert "broken on purpose" in capfd.readouterr().err


def test_example_is_a_shell_line():
    assert example("http://h:1", "sim", with_key=False) == (
        "curl http://h:1/v1/chat/completions -H 'content-type: application/json' -d "
        """'{"model":"sim","messages":[{"role":"user","content":"Hello"}]}'"""
    )
    assert "$SMG_API_KEY" in example("http://h:1", "sim", with_key=True)
