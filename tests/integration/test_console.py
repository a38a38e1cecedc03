"""`smg workers` and `smg top` against an API over real sockets: output, exit codes, secrets,
terminals.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smg import cli
from tests.doubles.console_api import ConsoleApi, worker
from tests.doubles.gateway import free_port

ADMIN, WORKER_KEY = "admin-key-hush", "worker-key-hush"
Smg = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMG_URL", "SMG_ADMIN_KEY", "COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConsoleApi]:
    """Two workers, and SMG_URL set to it."""
    fleet = [worker(1, load=3, labels={"zone": "a"}), worker(2, status="not_ready")]
    with ConsoleApi(fleet) as api:
        monkeypatch.setenv("SMG_URL", api.url)
        yield api


def smg(*words: str) -> int:
    return cli.main(list(words))


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "smg", *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


# smg workers


def test_list(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ID        URL                   MODEL        TYPE     ENGINE  STATUS     LOAD  PRIO"
        "  COST  LABELS",
        "00000001  http://10.0.0.1:8000  acme/llm-8b  regular  sglang  ready         3    50"
        "     1  zone=a",
        "00000002  http://10.0.0.2:8000  acme/llm-8b  regular  sglang  not_ready     0    50"
        "     1  -",
    ]


def test_list_of_a_model(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "list", "--model", "a&b=c") == 0
    assert capsys.readouterr().out == "0 workers\n"
    assert api.requests[-1][1] == "/workers?model=a%26b%3Dc"


def test_list_as_json(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "--json", "list") == 0
    assert json.loads(capsys.readouterr().out) == {
        "workers": list(api.workers.values()),
        "total": 2,
        "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 2},
    }


@pytest.mark.parametrize(
    "target",
    [
        "0198c0de-0000-7000-8000-000000000001",
        "00000001",
        "http://10.0.0.1:8000",
        "HTTP://10.0.0.1:8000/v1/",
    ],
)
def test_get(api: ConsoleApi, capsys: Capture, target: str):
    assert smg("workers", "get", target, "--json") == 0
    assert json.loads(capsys.readouterr().out)["url"] == "http://10.0.0.1:8000"
    assert smg("workers", "get", target) == 0
    assert "labels.zone" in capsys.readouterr().out


def test_targets_that_name_none_or_several(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "get", "http://10.0.0.9:8000") == 1
    assert smg("workers", "get", "001") == 1  # too short to mean one
    assert smg("workers", "get", "0198c0de-0000-7000-8000-000000000009") == 1
    assert smg("workers", "remove", "0198c0de") == 2
    assert "names 2 workers" in capsys.readouterr().err
    assert {method for method, *_ in api.requests} == {"GET"}


def test_add_and_wait(api: ConsoleApi, capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORKER_KEY", WORKER_KEY)
    words = ("--label", "zone=b", "--api-key-env", "WORKER_KEY", "--wait")
    assert smg("workers", "add", "http://10.0.0.3:8000", *words) == 0
    out, err = capsys.readouterr()
    assert out == "ready: 0198c0de-0000-7000-8000-000000000003\n"
    assert err == "job processing\n"
    assert api.requests[0][2] == {
        "url": "http://10.0.0.3:8000",
        "labels": {"zone": "b"},
        "api_key": WORKER_KEY,
    }


def test_add_without_waiting(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "add", "http://w:1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "accepted"
    assert len(api.requests) == 1


def test_a_job_that_fails(api: ConsoleApi, capsys: Capture):
    api.fail_jobs = "no route to host"
    assert smg("workers", "add", "http://w:1", "--wait") == 1
    assert "smg: the worker was not added: no route to host" in capsys.readouterr().err
    assert smg("workers", "set", "00000001", "--cost", "2", "--wait") == 1
    assert smg("workers", "drain", "00000001") == 1


def test_a_wait_that_takes_too_long(api: ConsoleApi, capsys: Capture):
    api.job_looks = 1000
    assert smg("workers", "add", "http://w:1", "--wait", "0.2") == 1
    assert "after 0.2 s; the gateway goes on" in capsys.readouterr().err


def test_set(api: ConsoleApi, capsys: Capture):
    words = ("--priority", "7", "--label", "gpu=h200", "--wait", "--json")
    assert smg("workers", "set", "00000001", *words) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["priority"], info["labels"]) == (7, {"zone": "a", "gpu": "h200"})
    assert ("PATCH", {"priority": 7, "labels": {"gpu": "h200"}}) in [
        (method, body) for method, _, body, _ in api.requests
    ]


def test_drain(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "drain", "http://10.0.0.1:8000") == 0
    out, err = capsys.readouterr()
    assert out == "removed: 0198c0de-0000-7000-8000-000000000001\n"
    assert err == "worker draining, 3 requests in flight\n"
    assert len(api.workers) == 1


def test_remove_does_not_wait(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "remove", "00000001") == 0
    assert capsys.readouterr().out == "00000001 is draining, then removed\n"
    assert smg("workers", "remove", "00000002", "--wait", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "removed"


# What goes wrong


def test_nobody_listens(capsys: Capture):
    url = f"http://127.0.0.1:{free_port()}"
    for words in (["workers", "list"], ["workers", "watch"], ["top", "--once"], ["top"]):
        assert smg(*words, "--url", url) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"smg: no answer from {url}: connection refused\n"


def test_errors_as_json(capsys: Capture):
    url = f"http://127.0.0.1:{free_port()}"
    assert smg("workers", "list", "--url", url, "--json") == 3
    assert json.loads(capsys.readouterr().err)["code"] is None


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
)
def test_answers_that_are_none(answer: bytes, capsys: Capture):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert smg("workers", "list", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}") == 3
        thread.join()
    assert capsys.readouterr().err.startswith("smg: no answer from http://127.0.0.1:")


def test_a_gateway_that_hangs(capsys: Capture):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert smg("workers", "list", "--url", url, "--timeout", "0.1") == 3
    assert "timed out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": "bad url", "code": "BAD_REQUEST"}, "bad url (400 BAD_REQUEST)"),
        (503, {"error": "full", "code": "JOB_QUEUE_FULL"}, "full (503 JOB_QUEUE_FULL)"),
        (500, {"error": {"message": "oops", "code": "internal"}}, "oops (500 internal)"),
        (404, {"error": {"message": "x", "code": "unknown_url"}}, "does not serve this call"),
        (502, "<html>\x1b[2J", "<html>\\u001b[2J (502)"),
        (403, "", "forbidden; the key in SMG_ADMIN_KEY may not do this (403)"),
        (500, "", "no reason given (500)"),
        (302, "", "no reason given (302)"),
        (200, "hello", "answered with no JSON"),
        (200, [], "answered with no JSON"),
        (200, {"data": []}, "has no list of workers"),
    ],
)
def test_refusals(api: ConsoleApi, capsys: Capture, status: int, body: Any, message: str):
    api.answers["GET", "/workers"] = status, body
    assert smg("workers", "list") == 1
    assert message in capsys.readouterr().err


def test_a_worker_that_is_there_already(api: ConsoleApi, capsys: Capture):
    assert smg("workers", "add", "http://10.0.0.1:8000") == 1
    assert "409 WORKER_ALREADY_EXISTS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["workers"], ["workers", "lst"], ["top", "--sort", "x"], ["workers", "list", "--url", "g"]],
)
def test_usage(words: list[str], capsys: Capture):
    assert smg(*words) == 2
    assert capsys.readouterr().out == ""


def test_help(capsys: Capture):
    for words in (["workers", "--help"], ["workers", "add", "--help"], ["top", "--help"]):
        assert smg(*words) == 0
    assert "Ctrl-C" not in capsys.readouterr().err


# Keys


def test_the_admin_key(api: ConsoleApi, capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    api.key = ADMIN
    assert smg("workers", "list") == 1
    assert capsys.readouterr().err == "smg: Unauthorized; set SMG_ADMIN_KEY (401)\n"
    assert smg("workers", "list", "--key", "wrong") == 1
    assert "the admin key is not accepted" in capsys.readouterr().err
    monkeypatch.setenv("SMG_ADMIN_KEY", ADMIN)
    assert smg("workers", "list") == 0
    assert smg("workers", "--key", "wrong", "list") == 1
    assert smg("workers", "list", "--key", ADMIN) == 0


def test_keys_are_never_printed(api: ConsoleApi, capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMG_ADMIN_KEY", ADMIN)
    monkeypatch.setenv("WORKER_KEY", WORKER_KEY)
    echo = {"error": f"who is {ADMIN}?", "code": "BAD_REQUEST"}
    info = worker(1, api_key=WORKER_KEY)  # the API never does this
    api.workers = {info["id"]: info}
    for form in ([], ["--json"]):
        assert smg("workers", "list", *form) == 0
        assert smg("workers", "get", "00000001", *form) == 0
    for status in (400, 401, 500):
        api.answers["POST", "/workers"] = status, echo
        assert smg("workers", "add", "http://w:1", "--api-key-env", "WORKER_KEY") == 1
        assert smg("workers", "add", "http://w:1", "--json", "--key", ADMIN) == 1
    monkeypatch.setenv("SMG_ADMIN_KEY", f"{ADMIN}\nx: y")
    assert smg("workers", "list") == 2
    out, err = capsys.readouterr()
    assert ADMIN not in out + err
    assert WORKER_KEY not in out + err
    assert "who is [redacted]?" in err


def test_the_metrics_port_is_not_shown_the_key(api: ConsoleApi, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMG_ADMIN_KEY", ADMIN)
    assert smg("top", "--once", "--interval", "0.01", "--metrics-url", api.url) == 0
    seen = {target: headers.get("authorization") for _, target, _, headers in api.requests}
    assert seen["/workers"] == f"Bearer {ADMIN}"
    assert seen["/metrics"] is None


# smg top

METRICS = """\
smg_router_requests_total{{model="m"}} {count}
smg_http_connections_active 4
smg_build_info{{version="0.1.0"}} 1
"""


def test_top_once(api: ConsoleApi, capsys: Capture):
    api.metrics = [METRICS.format(count=10), METRICS.format(count=10)]
    words = ("--interval", "0.01", "--metrics-url", api.metrics_url)
    assert smg("top", "--once", "--sort", "load", *words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"smg 0.1.0  {api.url}  ready  1/2 healthy",
        "requests 0/s  in flight 4  errors -  cache hits -  ttft p50 - p99 -",
        "",
        "   ID        URL                   MODEL        STATUS     LOAD  SHARE  PRIO  COST",
        "●  00000001  http://10.0.0.1:8000  acme/llm-8b  ready         3   100%    50     1",
        "○  00000002  http://10.0.0.2:8000  acme/llm-8b  not_ready     0     0%    50     1",
        "",
        "share: of requests in flight",
    ]


def test_top_as_json(api: ConsoleApi, capsys: Capture):
    api.metrics = [METRICS.format(count=10), METRICS.format(count=20)]
    api.readiness = 503, {"status": "not ready", "reason": "draining"}
    assert smg("top", "--json", "--interval", "0.05", "--metrics-url", api.metrics_url) == 0
    frame = json.loads(capsys.readouterr().out)
    assert frame["overview"]["requests_per_sec"] > 0
    assert frame["overview"]["reason"] == "draining"
    assert frame["rows"][0]["url"] == "http://10.0.0.1:8000"
    assert frame["problems"] == []


@pytest.mark.parametrize("metrics", ["<html>", "a{b 1\n"])
def test_top_without_metrics(api: ConsoleApi, capsys: Capture, metrics: str):
    api.metrics = metrics
    assert smg("top", "--once", "--interval", "0.01", "--metrics-url", api.url) == 0
    closed = f"http://127.0.0.1:{free_port()}"
    assert smg("top", "--once", "--interval", "0.01", "--metrics-url", closed) == 0
    out = capsys.readouterr().out
    assert out.count("no metrics: ") == 2
    assert out.count("http://10.0.0.1:8000") == 2


def test_top_needs_the_key(api: ConsoleApi, capsys: Capture):
    api.key = ADMIN
    assert smg("top") == 1
    assert "set SMG_ADMIN_KEY" in capsys.readouterr().err


# Processes and terminals


def test_terminals_without_unicode(api: ConsoleApi):
    api.workers = {info["id"]: info for info in [worker(1, model_id="modèle", labels={"ü": "模"})]}
    for words in (["workers", "list"], ["top", "--once", "--interval", "0.01"]):
        done = process(*words, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
        assert done.returncode == 0, done.stderr
        assert b"mod?le" in done.stdout
    done = process("workers", "list", PYTHONIOENCODING="utf-8")
    assert "modèle" in done.stdout.decode()


def test_a_reader_that_has_enough(api: ConsoleApi):
    api.workers = {info["id"]: info for info in map(worker, range(1, 250))}
    command = f"{sys.executable} -m smg workers list --json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout.splitlines() == ["{", "0"]
    assert done.stderr == ""


def test_rich_is_loaded_when_it_is_needed():
    code = (
        "import sys; from smg.cli import main; main(['workers', '--help']); main(['top', '-h']);"
        "print(sorted({name.split('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ("rich", "asyncio", "uvloop", "prometheus_client", "msgspec", "orjson")
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


class Terminal:
    """A command on a pseudo-terminal of a given size."""

    def __init__(self, *words: str, columns: int = 100, lines: int = 24) -> None:
        self.text = ""
        self._own, theirs = os.openpty()
        sizes = {"COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smg", *words],
            env={**os.environ, **sizes},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._own)

    def press(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def wait_for(self, text: str, seconds: float = 10.0) -> None:
        """Until `text` is on the screen, from here on."""
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            self._read(0.1)
        self.text = self.text.split(text, 1)[1]

    def end(self) -> int:
        """The exit code; reads what is still written, as a terminal does."""
        end = time.monotonic() + 10
        while self.process.poll() is None:
            assert time.monotonic() < end
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._own], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._own, 65536)
        except OSError:  # the other side is closed
            return False
        self.text += re.sub(r"\x1b\[[0-9;]*m", "", data.decode(errors="replace"))
        return bool(data)


LEAVE_SCREEN = "\x1b[?1049l"


def test_top_on_a_terminal(api: ConsoleApi):
    words = ("top", "--interval", "0.05", "--metrics-url", api.url)
    with Terminal(*words) as terminal:
        terminal.wait_for("http://10.0.0.1:8000")
        terminal.wait_for("sorted by url")
        terminal.press("l")
        terminal.wait_for("sorted by load")
        terminal.press("L")
        terminal.wait_for("sorted by load, turned")
        terminal.press("z\x1b[A")
        api.workers.clear()
        terminal.wait_for("no workers")
        terminal.press("q")
        assert terminal.end() == 0
        assert LEAVE_SCREEN in terminal.text


def test_top_keeps_the_last_frame_when_the_gateway_goes_away(api: ConsoleApi):
    with Terminal("top", "--interval", "0.05", "--metrics-url", api.url) as terminal:
        terminal.wait_for("http://10.0.0.1:8000")
        api.answers["GET", "/workers"] = 500, {"error": "broken", "code": "X"}
        terminal.wait_for("http://10.0.0.1:8000")
        terminal.wait_for("broken (500 X); trying again")
        api.stop()
        terminal.wait_for("http://10.0.0.1:8000")
        terminal.wait_for("connection refused; trying again")
        terminal.process.send_signal(signal.SIGINT)  # Ctrl-C
        assert terminal.end() == 0


@pytest.mark.parametrize("words", [("top", "--interval", "0.05"), ("workers", "watch")])
def test_a_terminal_is_put_back(api: ConsoleApi, words: tuple[str, ...]):
    with Terminal(*words, columns=60) as terminal:
        terminal.wait_for("10.0.0.1:8000")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 128 + signal.SIGTERM
        assert LEAVE_SCREEN in terminal.text


def test_watch_on_a_terminal(api: ConsoleApi):
    with Terminal("workers", "watch", "--interval", "0.05") as terminal:
        terminal.wait_for("2 workers: 1 ready, 1 not_ready")
        api.workers["0198c0de-0000-7000-8000-000000000002"]["status"] = "ready"
        terminal.wait_for("2 workers: 2 ready")
        terminal.press("q")
        assert terminal.end() == 0


def test_watch_without_a_terminal(api: ConsoleApi):
    for info in api.workers.values():
        info["api_key"] = WORKER_KEY  # the API never does this
    command = [sys.executable, "-m", "smg", "workers", "watch", "--interval", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert "present  http://10.0.0.1:8000  ready" in watching.stdout.readline()
        assert "present  http://10.0.0.2:8000  not_ready" in watching.stdout.readline()
        api.workers["0198c0de-0000-7000-8000-000000000001"]["status"] = "failed"
        assert "status ready -> failed" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    command.append("--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        watching.terminate()
    assert json.loads(line)["worker"]["status"] == "failed"
    assert WORKER_KEY not in line


def test_progress_on_a_terminal(api: ConsoleApi):
    with Terminal("workers", "drain", "00000001") as terminal:
        terminal.wait_for("worker draining, 3 requests in flight")
        terminal.wait_for("removed: 0198c0de")
        assert terminal.end() == 0


def test_a_list_on_a_narrow_terminal(api: ConsoleApi):
    with Terminal("workers", "list", columns=60) as terminal:
        terminal.wait_for("2 workers: 1 ready, 1 not_ready")
        assert terminal.end() == 0
