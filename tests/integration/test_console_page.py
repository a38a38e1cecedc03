"""`/console` in a real browser: who sees what, that names stay text, light and dark.

`SMG_SCREENSHOT=docs/img/console.png pytest tests/integration/test_console_page.py` draws the page
of the documentation anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.doubles.chromium import Chromium
from tests.doubles.gateway import Gateway, GatewayProcess
from tests.doubles.raw_server import Peer, RawServer, response_bytes
from tests.doubles.sim import SimWorker

pytestmark = pytest.mark.xdist_group("console")  # one stage for all of them

ROOT = pathlib.Path(__file__).parents[2]
KEY = "console-test-key"
EVIL = '<img src=x onerror="window.evil = 1">'
LOGGED_IN = "!document.querySelector('#content').hidden"


def text(selector: str) -> str:
    return f"document.querySelector('{selector}').innerText"


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    keys = ("--router-control-plane-api-keys", f"ops:Operator:admin:{KEY}", "me:Me:user:plain-key")
    policy = ("--router-policy", "cache_aware")
    with GatewayProcess("serve", "--backend", "sim", "--dp-size", "2", *keys, *policy) as process:
        for number in range(12):
            ask(process, stream=number % 2 == 0)
        for _ in range(3):
            ask(process, model="nobody-has-this")
        yield process


def ask(gateway: GatewayProcess, model: str = "sim", stream: bool = False) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "What does a gateway do? " * 8}],
        "stream": stream,
        "max_tokens": 3,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    }
    request = urllib.request.Request(
        f"{gateway.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        error.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as started:
        yield started


@pytest.fixture
def page(gateway: GatewayProcess, browser: Chromium) -> Chromium:
    """The console in a tab that has no key yet."""
    ready = "document.readyState === 'complete' && document.title === 'smg console'"
    browser.open(f"{gateway.url}/console")
    browser.wait(ready)
    browser.run("sessionStorage.clear()")
    browser.events.clear()
    browser.run("window.old = true; location.reload()")
    browser.wait(f"!window.old && {ready} && !document.querySelector('#login').hidden")
    return browser


def log_in(page: Chromium, key: str = KEY) -> None:
    page.run(f"document.querySelector('#key').value = {json.dumps(key)}")
    page.run("document.querySelector('#login button').click()")


def test_without_a_key_it_asks_for_one(page: Chromium):
    assert page.run("document.querySelector('#content').hidden")
    assert page.run(text("#refusal")) == ""
    log_in(page, "wrong-key")
    page.wait(f"{text('#refusal')} !== ''")
    assert "does not know this key" in page.run(text("#refusal"))
    assert page.run("sessionStorage.length") == 0
    log_in(page, "plain-key")
    page.wait(f"{text('#refusal')}.includes('not an admin')")
    assert page.run("document.querySelector('#content').hidden")


def test_the_key_stays_in_the_tab_until_it_is_forgotten(page: Chromium):
    log_in(page)
    page.wait(LOGGED_IN)
    stored = "JSON.stringify([Object.values(sessionStorage), localStorage.length, document.cookie])"
    assert json.loads(page.run(stored)) == [[KEY], 0, ""]
    page.run("window.old = true; location.reload()")
    page.wait(f"!window.old && document.readyState === 'complete' && {LOGGED_IN}")
    page.run("document.querySelector('#forget').click()")
    assert page.run("!document.querySelector('#login').hidden && sessionStorage.length === 0")


def test_what_it_shows(page: Chromium, gateway: GatewayProcess):
    log_in(page)
    page.wait(LOGGED_IN)
    assert page.run(text("#state")) == "ready"
    assert page.run(text("#count")) == "2 of 2 healthy"
    rows = page.run("[...document.querySelectorAll('#workers tr')].map((row) => row.innerText)")
    assert len(rows) == 2
    assert all("ready" in row and "closed" in row and "sim" in row for row in rows)
    page.run("document.querySelector('#filter').value = 'nobody'")
    page.run("document.querySelector('#filter').dispatchEvent(new Event('input'))")
    assert page.run(text("#workers")) == "no such worker"
    titles = "[...document.querySelectorAll('#tiles dt')].map((title) => title.innerText)"
    assert {"Requests/s", "Latency", "First token", "Cache hits", "Tokens/s"} <= set(
        page.run(titles)
    )
    ask(gateway, stream=True)  # so that there is a rate in whichever window comes next
    page.wait(f"/[1-9]/.test({text('#tiles dd')})")


def test_light_and_dark(page: Chromium, tmp_path: pathlib.Path):
    log_in(page)
    page.wait(LOGGED_IN)
    colours = {}
    for scheme in ("dark", "light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.call("Emulation.setEmulatedMedia", features=features)
        colours[scheme] = page.run(
            "JSON.stringify(['backgroundColor', 'color'].map((name) =>"
            " getComputedStyle(document.body)[name]))"
        )
    assert json.loads(colours["light"]) == ["rgb(246, 247, 249)", "rgb(28, 33, 40)"]
    assert json.loads(colours["dark"]) == ["rgb(15, 18, 23)", "rgb(228, 232, 238)"]
    picture = pathlib.Path(os.environ.get("SMG_SCREENSHOT") or tmp_path / "console.png")
    page.screenshot(picture, 1280, 640)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_names_stay_text(page: Chromium, gateway: GatewayProcess):
    ask(gateway, model=EVIL)
    log_in(page)
    page.wait(LOGGED_IN)
    page.wait(f"{text('#errors')}.includes({json.dumps(EVIL)})")
    errors = page.run(text("#errors"))
    assert "model_not_found" in errors
    assert "/v1/chat/completions" in errors
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("window.evil") is None


def test_nothing_but_its_own_script_may_run_or_be_loaded(page: Chromium, gateway: GatewayProcess):
    log_in(page)
    page.wait(LOGGED_IN)
    asked = [row["request"]["url"] for name, row in page.events if name.endswith("WillBeSent")]
    elsewhere = [url for url in asked if not url.startswith((gateway.url, "data:"))]
    assert asked
    assert not elsewhere
    said = [row["entry"] for name, row in page.events if name == "Log.entryAdded"]
    # The answer to the first look, without a key, is the one thing a browser complains about.
    assert {entry["text"].partition("(")[0] for entry in said} <= {
        "Failed to load resource: the server responded with a status of 401 "
    }
    assert not [row for name, row in page.events if name == "Runtime.exceptionThrown"]
    for attempt in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.setAttribute('onclick', 'window.evil = 2')",
        "document.head.append(Object.assign(document.createElement('script'), {text: 'evil = 3'}))",
    ):
        refused = f"(() => {{ try {{ {attempt}; return 0; }} catch {{ return 1; }} }})()"
        assert page.run(refused) == 1, attempt


# -- without a browser ----------------------------------------------------------------------------


async def test_the_page_is_public_and_tells_nothing():
    async with Gateway(api_key=KEY) as gateway:
        answer = await gateway.get("/console")
        assert answer.status == 200
        page = answer.body.decode()
        policy = answer.header("content-security-policy")
        for tag in ("script", "style"):
            (block,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy
        assert "127.0.0.1" not in page
        data = await gateway.get("/console/data")
        assert (data.status, data.json()["error"]["code"]) == (401, "invalid_api_key")
        data = await gateway.get("/console/data", {"Authorization": f"Bearer {KEY}"})
        assert data.status == 200
        assert data.header("cache-control") == "no-store"


async def test_the_data():
    async with SimWorker() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        message = [{"role": "user", "content": "hello"}]
        assert (
            await gateway.post("/v1/chat/completions", {"model": "sim", "messages": message})
        ).status == 200
        data = (await gateway.get("/console/data")).json()
    described = (ROOT / "docs" / "guide" / "console.md").read_text().split("It has `version`")[1]
    assert all(f"`{key}`" in described for key in data if key != "version")
    (row,) = data["workers"]
    assert (row["url"], row["status"], row["healthy"], row["load"]) == (
        worker.url,
        "ready",
        True,
        0,
    )
    assert (row["breaker"], row["failures"]) == ("closed", 0)
    assert (data["workers_total"], data["workers_healthy"], data["not_ready"]) == (1, 1, "")
    seconds = data["window_secs"]
    assert data["requests"]["per_second"] * seconds == pytest.approx(1)
    assert row["per_second"] * seconds == pytest.approx(1)
    assert data["requests"]["error_share"] == 0
    assert 0 < data["latency"]["p50"] <= data["latency"]["p99"]
    assert data["ttft"] == {"p50": None, "p90": None, "p99": None}
    assert data["cache_hit_share"] is None
    assert data["errors"] == []


async def test_errors_are_listed_without_addresses_or_causes():
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(response_bytes(500, b'{"secret": "of the worker"}'))

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        message = [{"role": "user", "content": "hello"}]
        for _ in range(2):
            answer = await gateway.post(
                "/v1/chat/completions", {"model": "test-model", "messages": message}
            )
            assert answer.status == 500
        await gateway.get("/nowhere/secret")
        answer = await gateway.get("/console/data")
    first, second = answer.json()["errors"]
    assert (first["path"], first["status"], first["code"]) == ("other", 404, "unknown_url")
    assert (second["path"], second["status"], second["count"]) == ("/v1/chat/completions", 500, 2)
    assert "secret" not in json.dumps([first, second])
    assert str(worker.port) not in json.dumps([first, second])
