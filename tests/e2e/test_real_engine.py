"""The same SDK suite against a real vLLM. Marker `engine`: run with `make test-engine`.

SMG_ENGINE_URL names a running engine. Otherwise SMG_ENGINE_VENV names a virtual environment with
vLLM and SMG_ENGINE_MODEL a model directory, and the engine is started here.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.doubles.gateway import GatewayProcess, free_port
from tests.e2e.sdk_suite import SdkSuite, Target

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ENGINE_START_SECS = 300


def start_engine(venv: str, model: str, port: int) -> subprocess.Popen[bytes]:
    """vLLM on the CPU, small and eager: what a test needs."""
    command = [f"{venv}/bin/vllm", "serve", model, "--served-model-name", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--max-model-len", "1024", "--enforce-eager", "--max-num-seqs", "8"]
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the engine answers; fails at once when it ends."""
    end = time.monotonic() + ENGINE_START_SECS
    while True:
        assert process.poll() is None, f"the engine ended with {process.returncode}"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except OSError:
            assert time.monotonic() < end, f"the engine is not ready in {ENGINE_START_SECS} s"
            time.sleep(1)
        else:
            return


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    if url := os.environ.get("SMG_ENGINE_URL"):
        yield url.rstrip("/")
        return
    venv, model = os.environ.get("SMG_ENGINE_VENV"), os.environ.get("SMG_ENGINE_MODEL")
    if not venv or not model:
        pytest.skip("set SMG_ENGINE_URL, or SMG_ENGINE_VENV and SMG_ENGINE_MODEL")
    port = free_port()
    process = start_engine(venv, model, port)
    try:
        wait_for(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def gateway(engine_url: str) -> Iterator[GatewayProcess]:
    with GatewayProcess("launch", "--worker-urls", engine_url) as process:
        yield process


@pytest.fixture
def target(engine_url: str, gateway: GatewayProcess) -> Target:
    with urllib.request.urlopen(f"{engine_url}/v1/models", timeout=10) as answer:
        model = json.load(answer)["data"][0]["id"]
    return Target(gateway.url, model, embeddings=False)


class TestRealEngine(SdkSuite):
    """The common suite."""


def test_the_engine_is_recognised(gateway: GatewayProcess, target: Target):
    assert f"model {target.model}, engine vllm" in gateway.log()
