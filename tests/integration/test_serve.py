"""`smg serve --backend sim` as people run it: processes, signals, exit codes."""

from __future__ import annotations

import contextlib
import http.client
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from smg.app.main import run
from tests.doubles.gateway import GatewayProcess, free_port, run_smg

SERVE = ("serve", "--backend", "sim", "--router-shutdown-grace-period-secs", "0")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def worker_pids(log: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"started sim:\d+ on \S+ pid (\d+):", log)]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.02)


def wait_for_log(process: GatewayProcess, text: str, seconds: float = 20.0) -> str:
    end = time.monotonic() + seconds
    while text not in (log := process.log()):
        assert time.monotonic() < end, log
        time.sleep(0.02)
    return log


@contextlib.contextmanager
def asked(port: int, **extra: Any) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = {"model": "sim", "messages": [{"role": "user", "content": "Hello"}], **extra}
    headers = {"content-type": "application/json"}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        with connection.getresponse() as reply:
            yield reply


def chat(port: int, **extra: Any) -> dict[str, Any]:
    with asked(port, **extra) as reply:
        answer: dict[str, Any] = json.load(reply)
        return answer


def test_two_workers_from_start_to_stop():
    with GatewayProcess(*SERVE, "--dp-size", "2", "--token-latency-ms", "1") as gateway:
        log = wait_for_log(gateway, "Try: curl")
        assert f"Listening on {gateway.url}, 2 sim workers." in log
        assert "[sim:0] smg.sim: sim on http://127.0.0.1:" in log
        assert "[sim:1] " in log
        pids = worker_pids(log)
        assert len(pids) == 2
        answer = chat(gateway.port, max_tokens=3)
        assert answer["usage"]["completion_tokens"] == 3
        with asked(gateway.port, max_tokens=3, stream=True) as reply:
            assert reply.read().endswith(b"data: [DONE]\n\n")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 128 + signal.SIGTERM
        wait_until_gone(pids)


def test_workers_do_not_outlive_a_killed_gateway():
    with GatewayProcess(*SERVE, "--dp-size", "2") as gateway:
        pids = worker_pids(gateway.log())
        assert len(pids) == 2
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        wait_until_gone(pids)


def test_a_second_signal_ends_all_at_once():
    flags = ("--router-shutdown-grace-period-secs", "60", "--token-latency-ms", "1000")
    with GatewayProcess("serve", "--backend", "sim", *flags) as gateway:
        pids = worker_pids(gateway.log())
        with asked(gateway.port, max_tokens=1000, stream=True) as reply:
            assert reply.readline().startswith(b"data: ")
            gateway.signal(signal.SIGTERM)
            wait_for_log(gateway, "draining")
            began = time.monotonic()
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 128 + signal.SIGTERM
            assert time.monotonic() - began < 5
        wait_until_gone(pids)


def test_an_engine_flag_nobody_knows_ends_the_start():
    with GatewayProcess(*SERVE, "--dp-size", "2", "--no-such-flag", wait_ready=False) as gateway:
        assert gateway.wait() == 1
        log = gateway.log()
        assert "unrecognized arguments: --no-such-flag" in log
        assert re.search(r"worker sim:\d ended with exit code 2 before it was ready", log)
        wait_until_gone(worker_pids(log))


def test_a_busy_base_port_is_skipped():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with GatewayProcess(*SERVE, "--worker-base-port", str(port)) as gateway:
            log = gateway.log()
            assert f"started sim:0 on 127.0.0.1:{port}," not in log
            assert chat(gateway.port, max_tokens=1)["object"] == "chat.completion"


def test_a_busy_gateway_port_is_found_before_workers_start():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        ended = run_smg("serve", "--backend", "sim", "--port", port)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "started sim:0" not in ended.stderr


def test_a_worker_that_dies_is_named_and_the_rest_goes_on():
    with GatewayProcess(*SERVE, "--dp-size", "2") as gateway:
        first, second = worker_pids(gateway.log())
        os.kill(first, signal.SIGKILL)
        wait_for_log(gateway, "worker sim:0 was ended by signal 9")
        assert is_alive(second)
        # What happens to requests meanwhile is the gateway's business; half of them find the other.
        answers = [chat(gateway.port, max_tokens=1) for _ in range(4)]
        assert any("choices" in answer for answer in answers)


def test_ctrl_c_ends_with_130():
    if "on_signal" not in inspect.signature(run).parameters:
        pytest.skip("smg.app.main.run does not tell which signal ended it")
    with GatewayProcess(*SERVE) as gateway:
        pids = worker_pids(gateway.log())
        gateway.signal(signal.SIGINT)
        assert gateway.wait() == 128 + signal.SIGINT
        wait_until_gone(pids)


def test_usage():
    assert run_smg("serve", "--help").returncode == 0
    assert run_smg("serve", "--backend", "trtllm", "--help").returncode == 0
    unavailable = run_smg("serve", "--backend", "vllm")
    assert unavailable.returncode == 2
    assert "not available yet" in unavailable.stderr
    assert run_smg("serve", "--backend", "sim", "--dp-size", "0").returncode == 2


def test_raw_output_has_no_prefix():
    command = [sys.executable, "-m", "smg", *SERVE, "--raw-worker-output", "--tokens", "0"]
    command += ["--port", str(free_port()), "--worker-base-port", str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "must be 1 or more" in ended.stderr
    assert "[sim:0]" not in ended.stderr
