"""The example script starts a pair and a gateway that work together, and takes them down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.gateway import free_port

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "pd-pair.sh"
LIMIT_SECS = 25.0


def call(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_the_example(engine: str, tmp_path: Path) -> None:
    names = ("PORT", "METRICS_PORT", "PREFILL_PORT", "DECODE_PORT", "BOOTSTRAP_PORT")
    ports = {name: free_port() for name in names}
    env = {**os.environ, "PYTHON": sys.executable, **{k: str(v) for k, v in ports.items()}}
    with (tmp_path / "log").open("w+") as log:
        command = [str(SCRIPT), engine, "--shutdown-grace-period-secs", "0"]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            end = time.monotonic() + LIMIT_SECS
            while call(ports["PORT"], "/readiness")[0] != 200:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.05)
            body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}]}
            status, text = call(ports["PORT"], "/v1/chat/completions", body)
            assert status == 200, text
            report = json.loads(call(ports["PREFILL_PORT"], "/sim/kv")[1])
            assert (report["taken"], report["held"]) == (1, 0)
        finally:
            process.terminate()
            process.wait(LIMIT_SECS)
    for name in ("PORT", "PREFILL_PORT", "DECODE_PORT"):
        assert call(ports[name], "/health")[0] == 0, name
