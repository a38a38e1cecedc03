"""A stand-in for systemd's end of NOTIFY_SOCKET: keeps every state it is told, in order.

    with ServiceManager() as systemd, GatewayProcess("launch", env=systemd.env()) as gateway:
        systemd.wait_for("READY=1")

Blocking: use it from sync tests, or in a thread.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from typing import Any

PATIENCE_SECS = 20.0


class ServiceManager:
    """Listens on a path, or on an abstract name."""

    def __init__(self, *, abstract: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, "notify")
        self.address = f"@{path}" if abstract else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + path if abstract else path)
        #: states in the order they came, and for each when (`time.monotonic()`)
        self.states: list[str] = []
        self.times: list[float] = []
        self._read = 0

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._folder.cleanup()

    def env(self, **more: Any) -> dict[str, str]:
        """The environment that systemd gives."""
        return {"NOTIFY_SOCKET": self.address, **{name: str(more[name]) for name in more}}

    def receive(self, seconds: float = 0.0) -> list[str]:
        """States of the next message, waiting at most `seconds`; none if none came."""
        self._socket.settimeout(seconds)
        try:
            states = self._socket.recv(65536).decode().splitlines()
        except (BlockingIOError, TimeoutError):
            return []
        self.states += states
        self.times += [time.monotonic()] * len(states)
        return states

    def drain(self) -> list[str]:
        """Everything that has come and was not read by `drain` or `wait_for`."""
        while self.receive():
            pass
        new = self.states[self._read :]
        self._read = len(self.states)
        return new

    def wait_for(self, state: str, seconds: float = PATIENCE_SECS) -> str:
        """The next state that begins with `state`, among those not waited for yet."""
        end = time.monotonic() + seconds
        while True:
            while self._read < len(self.states):
                found = self.states[self._read]
                self._read += 1
                if found.startswith(state):
                    return found
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {state} in {seconds:g} s; got {self.states}")
            self.receive(left)
