"""A model that the local hub cache lacks is fetched: its tokenizer's files, and nothing else."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from smg.tokenization.errors import LoadFailed
from smg.tokenization.hub_download import download, is_offline
from smg.tokenization.loader import Source, load
from tests.doubles import tokenizers as models

pytest.importorskip("huggingface_hub")

SHA = "c0ffee00" * 5
CONFIG = {"chat_template": "{{ messages }}", "eos_token": "<|im_end|>"}


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub as a download needs: one model, `org/name`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.asked: list[str] = []
        self.keys: set[str | None] = set()
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        path = self.path.partition("?")[0]
        hub.asked.append(f"{self.command} {path}")
        hub.keys.add(self.headers["Authorization"])
        name = path.rpartition("/")[2]
        if hub.status != 200:
            return self.reply(hub.status, b"{}")
        if path.startswith("/api/models/org/name"):
            rows = [
                {"type": "file", "path": n, "size": len(b), "oid": "0" * 40}
                for n, b in hub.files.items()
            ]
            siblings = [{"rfilename": row["path"]} for row in rows]
            info = {"id": "org/name", "sha": SHA, "siblings": siblings, "private": False}
            return self.reply(200, json.dumps(rows if "/tree/" in path else info).encode())
        if "/resolve/" in path and name in hub.files:
            return self.reply(200, hub.files[name])
        return self.reply(404, b"{}")

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{len(body):040d}"')
        self.send_header("X-Repo-Commit", SHA)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: pathlib.Path) -> Iterator[Hub]:
    folder = tmp_path / "model"
    folder.mkdir()
    models.write_model(folder, tokenizer_config=CONFIG)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files["model.safetensors"] = b"weights"
    files["README.md"] = b"words"
    server = Hub(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def tokenize(
    hub: Hub, cache: pathlib.Path, model: str = "org/name", **more: str
) -> tuple[int, str]:
    """`smg tokenize` with this hub; exit code and what was said."""
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **more,
    }
    command = [sys.executable, "-m", "smg", "tokenize", "--model-path", model, "--ids", "Hello"]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout + result.stderr


def test_fetched_once_and_then_found(hub, tmp_path):
    cache = tmp_path / "cache"
    ids = load(Source(str(tmp_path / "model"))).encode("Hello").tolist()
    said = " ".join(map(str, ids)) + "\n"
    assert tokenize(hub, cache, HF_TOKEN="the-token") == (0, said)
    fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
    assert fetched == {"tokenizer.json", "tokenizer_config.json"}
    assert hub.keys == {"Bearer the-token"}
    hub.asked.clear()
    assert tokenize(hub, cache) == (0, said)
    assert hub.asked == []


def test_never_when_the_user_says_offline(hub, tmp_path):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        code, said = tokenize(hub, tmp_path / "cache", **{name: "1"})
        assert code == 1
        assert "the hub must not be asked" in said
    assert hub.asked == []


def test_a_model_that_is_not_there(hub, tmp_path):
    code, said = tokenize(hub, tmp_path / "cache", "org/other")
    assert code == 1
    assert "Failed to fetch model 'org/other' from HuggingFace: status 404" in said
    assert "Is this a valid HuggingFace ID?" in said


def test_a_model_without_a_tokenizer(hub, tmp_path):
    del hub.files["tokenizer.json"]
    code, said = tokenize(hub, tmp_path / "cache")
    assert (code, said) == (1, "smg: No tokenizer files found for model 'org/name'.\n")


@pytest.mark.parametrize(
    ("environment", "offline"),
    [
        ({}, False),
        ({"HF_HUB_OFFLINE": "0"}, False),
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"TRANSFORMERS_OFFLINE": "true"}, True),
    ],
)
def test_offline(environment, offline):
    assert is_offline(environment) is offline


def test_a_download_that_is_given_up(monkeypatch):
    """Whoever waits for it goes on at once; the download itself is nobody's any more."""
    begun, ended = threading.Event(), threading.Event()

    def fetch(model: str) -> pathlib.Path:
        begun.set()
        assert ended.wait(10)
        return pathlib.Path("x")

    monkeypatch.setattr("smg.tokenization.hub_download._fetch", fetch)
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(LoadFailed, match="the download of 'org/name' was given up"):
        download("org/name", given_up)
    assert begun.wait(10)
    ended.set()


@pytest.mark.parametrize(
    ("error", "retryable"), [(OSError("down"), True), (ValueError("id"), False)]
)
def test_what_is_tried_again(monkeypatch, error, retryable):
    def fetch(model: str) -> pathlib.Path:
        raise error

    monkeypatch.setattr("smg.tokenization.hub_download._fetch", fetch)
    with pytest.raises(LoadFailed) as failed:
        download("org/name", threading.Event())
    assert failed.value.retryable is retryable
