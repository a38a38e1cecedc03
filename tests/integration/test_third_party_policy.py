"""A policy in a package of its own: the example of the documents, installed and used."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from smg.workers import ModelCard, Worker, WorkerStatus
from tests.doubles.gateway import Gateway, GatewayProcess, run_smg
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.sim import SimProcess
from tests.doubles.traffic import CHAT, chat, nothing_left, until
from tests.meta.project import ROOT, blocks

EXAMPLE = ROOT / "docs" / "examples" / "nearest_policy"
ROUTED = "x-smg-routed-worker-id"
DECISION = "x-smg-routing-decision"
LONG = "a prompt that is long enough for its worker to make a difference"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder into which the example is installed, as pip does it."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, folder / "source")  # pip builds beside the source
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def environment(site: pathlib.Path) -> dict[str, str]:
    """Of a process that finds the package."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def installed(site: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This very process finds the package."""
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("nearest_pkg", None)


def test_the_documents_show_the_example_as_it_is() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "guide" / "policies.md")]
    for name in ("nearest_pkg.py", "pyproject.toml"):
        assert (EXAMPLE / name).read_text() in shown, name


# -- in a process of its own ----------------------------------------------------------------------


def ask(gateway: GatewayProcess, zone: str, text: str) -> tuple[str, str]:
    """Who answered, and why."""
    body = {"model": "sim", "messages": [{"role": "user", "content": text}]}
    headers = {"content-type": "application/json", "x-zone": zone}
    request = urllib.request.Request(f"{gateway.url}{CHAT}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
        return answer.headers[ROUTED], answer.headers[DECISION]


@pytest.mark.parametrize("policy", ["nearest", "nearest_pkg:Nearest"])
def test_a_gateway_routes_by_it(policy: str, environment: dict[str, str]) -> None:
    with SimProcess("--preset", "instant") as first, SimProcess("--preset", "instant") as second:
        # The zone is the first part of the host's name: 127 and localhost.
        here, there = first.url, second.url.replace("127.0.0.1", "localhost")
        flags = ["--policy", policy, "--worker-urls", here, there, "--explain-routing"]
        with GatewayProcess("launch", *flags, env=environment) as gateway:
            end = time.monotonic() + 20
            while gateway.metrics().value("smg_worker_health") < 2:
                assert time.monotonic() < end, gateway.log()
                time.sleep(0.05)
            near = "policy=nearest; reason=near"
            for _ in range(3):
                assert ask(gateway, "127", LONG) == (here, near)
                assert ask(gateway, "localhost", LONG) == (there, near)
            for zone, text in (("mars", LONG), ("localhost", "short")):
                assert ask(gateway, zone, text)[1] == "policy=nearest; reason=anywhere"
            samples = gateway.metrics()
            assert samples.value("smg_worker_selection_total", policy="nearest") == 8
            assert "Traceback" not in gateway.log()


def refused(policy: str, *flags: str, env: dict[str, str]) -> tuple[int, str]:
    """How a gateway with such a policy ends."""
    arguments = ["--policy", policy, "--worker-urls", "http://127.0.0.1:1", *flags]
    with GatewayProcess("launch", *arguments, env=env, wait_ready=False) as gateway:
        code = gateway.wait()
        return code, gateway.log()


@pytest.mark.parametrize(
    ("policy", "code", "said"),
    [
        ("farthest", 2, "or a class as module:Class, not 'farthest'"),
        ("nearest_pkg:Farthest", 1, "cannot load 'nearest_pkg:Farthest': AttributeError"),
        ("nearest_pkg:load", 1, "'nearest_pkg:load' is no subclass of smg.policies.Policy"),
        ("os:system", 1, "'os:system' is no subclass of smg.policies.Policy"),
        ("nowhere_pkg:Nearest", 1, "cannot load 'nowhere_pkg:Nearest': ModuleNotFoundError"),
        ("broken_pkg:Nearest", 1, "cannot load 'broken_pkg:Nearest': ZeroDivisionError"),
    ],
)
def test_one_clear_error(
    policy: str, code: int, said: str, environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "broken_pkg.py").write_text("1 / 0\n")
    environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    ended, output = refused(policy, env=environment)
    assert ended == code
    (problem,) = [line for line in output.splitlines() if "--policy" in line]
    assert said in problem
    assert "Traceback" not in output


def test_names_that_packages_offer_are_listed(environment: dict[str, str]) -> None:
    code, output = refused("farthest", env=environment)
    assert code == 2
    assert "nearest" in output.split("must be one of ")[1]
    assert "nearest" not in run_smg("check", "--policy", "farthest").stderr


# -- what the example does, and labels ------------------------------------------------------------


async def answer(peer: Peer) -> None:
    """At once, or never for the user `hold`."""
    while True:
        request = await peer.read_request()
        if request.json().get("user") == "hold":
            await peer.finished.wait()
            return
        await peer.respond(200, {})


@pytest.mark.usefixtures("installed")
async def test_a_label_asks_for_it_and_it_reads_labels_and_loads() -> None:
    body = chat(messages=[{"role": "user", "content": LONG}])
    config: Any = {"policy": "round_robin", "balance_abs_threshold": 2, "explain_routing": True}
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(RawServer(answer)) for _ in range(3)]
        gateway = await stack.enter_async_context(Gateway(**config))
        for server, zone in zip(servers, ("eu", "eu", "us"), strict=True):
            labels = {"zone": zone, "policy": "nearest"}
            cards = [ModelCard("test-model")]
            worker = Worker(server.url, models=cards, labels=labels)
            gateway.registry.add(worker)
            gateway.registry.set_status(worker, WorkerStatus.READY)

        async def said(zone: str) -> tuple[int, str | None]:
            reply = await gateway.post(CHAT, body, {"X-Zone": zone})
            urls = [server.url for server in servers]
            return urls.index(reply.header(ROUTED) or ""), reply.header(DECISION)

        assert await said("us") == (2, "policy=nearest; reason=near")
        assert (await said("eu"))[0] in (0, 1)
        clients = []
        for count in range(1, 4):  # three more in flight than the others
            clients.append(await gateway.connect())
            held = {**body, "user": "hold"}
            await clients[-1].send(request_bytes("POST", CHAT, held, {"X-Zone": "us"}))
            await until(lambda count=count: len(servers[2].requests) == 1 + count)  # type: ignore[misc]
        place, decision = await said("us")
        assert (place in (0, 1), decision) == (True, "policy=nearest; reason=spill")
        clients.pop().close()
        await until(lambda: sum(worker.load for worker in gateway.registry.all()) == 2)
        assert await said("us") == (2, "policy=nearest; reason=near")
        for client in clients:
            client.close()
        await nothing_left(gateway)


@pytest.mark.usefixtures("installed")
async def test_a_label_with_a_path_imports_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with RawServer(answer) as server:
        async with Gateway(policy="round_robin", explain_routing=True) as gateway:
            labels = {"policy": "nearest_pkg:Nearest"}
            worker = Worker(server.url, models=[ModelCard("test-model")], labels=labels)
            gateway.registry.add(worker)
            gateway.registry.set_status(worker, WorkerStatus.READY)
            reply = await gateway.post(CHAT, chat())
            assert reply.header(DECISION) == "policy=round_robin; reason=round_robin"
    assert "nearest_pkg" not in sys.modules
    (warning,) = [record for record in caplog.records if "of its own" in record.msg]
    assert "'nearest_pkg:Nearest'" in warning.getMessage()
