"""A headless Chromium for tests of pages, spoken to over its debugging pipe: no driver, no port.

    with Chromium() as browser:
        browser.open("http://127.0.0.1:1234/console")
        browser.wait("document.title === 'smg console'")

Blocking. The browser is the system's; without one the test is skipped.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WAIT_SECS = 15.0


class Navigated(Exception):
    """The page went away while it was asked something."""


class Chromium:
    """One browser with one page."""

    def __init__(self) -> None:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            pytest.skip("no Chromium here (Debian: apt-get install chromium)")
        self._command = found
        self._number = 0
        self._received = b""
        #: events of the page so far: (method, parameters)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Chromium:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._in = os.pipe()
        self._out, from_browser = os.pipe()
        # The browser wants its pipe as descriptors 3 and 4; a shell puts them there.
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        flags = (
            *("--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
            *("--hide-scrollbars", f"--user-data-dir={self._profile.name}", "about:blank"),
        )
        self._process = subprocess.Popen(
            ["bash", "-c", shell, self._command, *flags],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            self._attach()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _attach(self) -> None:
        targets = self._call("Target.getTargets", session=None)["targetInfos"]
        target = next(row["targetId"] for row in targets if row["type"] == "page")
        answer = self._call("Target.attachToTarget", session=None, targetId=target, flatten=True)
        self._session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _end(self) -> None:
        os.close(self._in)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._out)
        self._profile.cleanup()

    # -- what tests do ----------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol on the page."""
        return self._call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go there; `wait` for what should come."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression on the page; AssertionError if it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = WAIT_SECS) -> None:
        """Until a JavaScript expression is true; fails with the page's text."""
        end = time.monotonic() + seconds
        while not self._holds(condition):
            if time.monotonic() > end:
                raise AssertionError(
                    f"never true: {condition}\n{self.run('document.body.innerText')}"
                )
            time.sleep(0.02)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.run(condition))
        except Navigated:
            return False

    def screenshot(self, path: pathlib.Path, width: int, height: int) -> None:
        """The page as PNG."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    # -- the pipe ---------------------------------------------------------------------------------

    def _call(self, method: str, session: str | None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            received = self._read()
            if received.get("id") == self._number:
                if "navigated" in received.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in received, received["error"]
                result: dict[str, Any] = received["result"]
                return result
            self.events.append((received["method"], received["params"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            data = os.read(self._out, 1 << 20)
            assert data, "the browser is gone"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed
