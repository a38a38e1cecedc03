"""Documents that keep their word: links lead somewhere, commands run.

Fenced blocks are executed when their info string says so. All blocks of a page share one folder and
one port:

- `bash test`: runs under `set -euo pipefail`; must succeed.
- `bash gateway`: one command that starts a gateway; it runs in the background, the next block waits
  until it is ready, and it is stopped at the end of the page. The ports of the examples (8080,
  30000, 29000) are replaced by free ones.
- `json output`: what the block before must have printed, key by key; values are not compared.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.doubles.gateway import free_port
from tests.meta.project import ROOT, Block, blocks, page_ids, pages, requirements

PAGES = pages()
EXECUTED = ("bash test", "bash gateway", "json output")
RUNNABLE = [page for page in PAGES if any(block.info in EXECUTED for block in blocks(page))]
EXAMPLE_PORTS = ("8080", "30000", "29000")
READY_SECS = 30
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=page_ids(PAGES))
def test_links(page: pathlib.Path):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors that headings of a page make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_ids(PAGES))
def test_info_strings_are_known(page: pathlib.Path):
    """A typo in `bash test` would switch the check off."""
    plain = {
        "",
        "sh",
        "bash",
        "python",
        "json",
        "yaml",
        "toml",
        "text",
        "ini",
        "make",
        "diff",
        "console",
    }
    odd = [block.info for block in blocks(page) if block.info not in plain | set(EXECUTED)]
    assert odd == []


@pytest.mark.parametrize("page", RUNNABLE, ids=page_ids(RUNNABLE))
def test_commands(page: pathlib.Path, tmp_path: pathlib.Path):
    runner = PageRunner(tmp_path)
    try:
        for block in blocks(page):
            runner.run(block)
    finally:
        runner.stop()


class PageRunner:
    """Executes the blocks of one page."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in EXAMPLE_PORTS}
        # the interpreter's own folder first: `smg` is the one under test
        path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path}
        self.gateway: subprocess.Popen[str] | None = None
        self.log = folder / "gateway.log"
        self.ready = False
        self.output = ""

    def run(self, block: Block) -> None:
        """One block, if it is to be executed."""
        text = block.text
        for example, port in self.ports.items():
            text = re.sub(rf"\b{example}\b", port, text)
        if block.info == "bash gateway":
            self.start_gateway(text)
        elif block.info == "bash test":
            self.wait_ready()
            script = f"set -euo pipefail\n{text}"
            result = subprocess.run(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert result.returncode == 0, f"line {block.line}: {result.stdout}{result.stderr}"
            self.output = result.stdout
        elif block.info == "json output":
            assert shape(json.loads(self.output)) == shape(json.loads(text)), f"line {block.line}"

    def start_gateway(self, text: str) -> None:
        """Start the block's command; ports that it does not name are added."""
        self.stop()
        words = shlex.split(text.replace("\\\n", " "), comments=True)
        serve = "serve" in words
        port_flag, example = "--port", "8080" if serve else "30000"
        metrics_flag = "--router-prometheus-port" if serve else "--prometheus-port"
        for flag, name in ((port_flag, example), (metrics_flag, "29000")):
            if flag not in words:
                words += [flag, self.ports[name]]
        if serve and "--worker-base-port" not in words:
            words += ["--worker-base-port", str(free_port())]
        self.port = words[words.index(port_flag) + 1]
        with self.log.open("w") as log:
            self.gateway = subprocess.Popen(
                words, cwd=self.folder, env=self.env, stdout=log, stderr=log, text=True
            )
        self.ready = False

    def wait_ready(self) -> None:
        """Until the gateway of this page, if any, is ready."""
        end = time.monotonic() + READY_SECS
        while self.gateway is not None and not self.ready:
            assert self.gateway.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"not ready:\n{self.log.read_text()}"
            try:
                address = f"http://127.0.0.1:{self.port}/readiness"
                urllib.request.urlopen(address, timeout=2).close()
                self.ready = True
            except OSError:
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the page's gateway; the second signal skips the drain."""
        if self.gateway is None:
            return
        for _ in range(2):
            if self.gateway.poll() is None:
                self.gateway.send_signal(signal.SIGTERM)
                try:
                    self.gateway.wait(3)
                except subprocess.TimeoutExpired:
                    continue
        self.gateway.kill()
        self.gateway.wait()
        self.gateway = None


def shape(value: object) -> object:
    """Keys and types, without values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) else type(value).__name__


# What pages list


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    listed = {(ROOT / "docs" / link.split("#")[0]).resolve() for link in _LINK.findall(index)}
    missing = [page for page in (ROOT / "docs").glob("**/*.md") if page.resolve() not in listed]
    assert page_ids([page for page in missing if page.name != "README.md"]) == []


def test_every_dependency_is_explained_with_its_bound():
    rows = {}
    for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines():
        if match := re.match(r"\| `([\w.-]+)` \| `([^`]*)` \|", line):
            rows[match[1].lower()] = match[2]
    assert rows == requirements()
