"""Tells systemd how the gateway is doing (sd_notify(3)): ready, reloading, draining, alive.

Datagrams to the socket that systemd names in NOTIFY_SOCKET; outside systemd nothing is sent.
Rules: operations 1.12.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.fleet.clock import Clock, Timer
    from smg.fleet.readiness import Readiness
    from smg.workers import WorkerEvent, WorkerRegistry

log = logging.getLogger(__name__)

STATUS_SECS = 1.0  # at least, between two status texts
#: While draining: how often we ask for more time, and for how much. A gateway that hangs asks no
#: more, and is killed once both TimeoutStopSec and the last request are over.
EXTEND_EVERY_SECS = 5.0
EXTEND_SECS = 20.0
#: how long a message may wait for a systemd that is busy; only for those that must not be lost
PATIENCE_SECS = 1.0


class Notifier:
    """Sends states to the socket `address`: a path, or `@name` for an abstract one. Never raises:
    a gateway that serves matters more than one that reports.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._failing = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notifier | None:
        """None when nobody wants to know."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address or not hasattr(socket, "AF_UNIX"):
            return None
        if address[0] not in "/@":
            log.warning("NOTIFY_SOCKET is ignored: it is neither a path nor an abstract name")
            return None
        return cls(address)

    def send(self, *states: str, must: bool = False) -> None:
        """Send `NAME=value` states in one message; `must`: wait a moment if systemd is busy."""
        try:
            self._socket.settimeout(PATIENCE_SECS if must else 0.0)
            self._socket.sendto("\n".join(states).encode(), self._address)
        except OSError as error:
            if not self._failing:
                log.warning("cannot notify systemd: %s", error.strerror or error)
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Send no more."""
        self._socket.close()


def watchdog_secs(environ: Mapping[str, str], pid: int) -> float:
    """How long systemd waits for a sign of life from process `pid`; 0 when it does not."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() else 0.0


class Service:
    """The life of the gateway as systemd is told of it: `ready`, then any number of `reloading` and
    `reloaded`, then `stopping`, `close`. Outside systemd all of them do nothing.
    """

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._notifier = Notifier.from_environment(environ)
        self._alive_every = watchdog_secs(environ, os.getpid()) / 2
        self._timers: dict[str, Timer] = {}
        self._status: Callable[[], str] = str
        self._told = ""
        self._unsubscribe: Callable[[], None] | None = None

    def ready(self, readiness: Readiness, registry: WorkerRegistry) -> None:
        """We listen. From now on the status tells of the workers, and the loop shows that it turns.

        Workers may still be missing: whether requests should come is what /readiness says.
        """
        if self._notifier is None:
            return

        def status() -> str:
            _, healthy, total = readiness.snapshot
            return f"{healthy} of {total} workers healthy"

        self._status = status
        self._unsubscribe = registry.subscribe(self._fleet_changed)
        self._send("READY=1", must=True)
        if self._alive_every:
            self._alive()

    def reloading(self) -> None:
        """The settings are being read again."""
        # With Type=notify-reload systemd compares the time with that of its own signal.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", must=True)

    def reloaded(self) -> None:
        """That is over, whatever came of it."""
        self._send("READY=1", must=True)

    def stopping(self, in_flight: Callable[[], int]) -> None:
        """The drain begins; `in_flight()` counts the requests that are waited for."""
        self._status = lambda: f"draining, requests in flight: {in_flight()}"
        self._send("STOPPING=1", _more_time(), must=True)
        if self._notifier is not None:
            self._again("drain", EXTEND_EVERY_SECS, self._drains)

    def close(self) -> None:
        """The process ends: nothing is sent any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._notifier is not None:
            self._notifier.close()
            self._notifier = None

    # -- while it runs ----------------------------------------------------------------------------

    def _fleet_changed(self, event: WorkerEvent) -> None:
        if "status" not in self._timers:
            self._tell_status()

    def _tell_status(self) -> None:
        """Now, and not again for a while; what changes meanwhile is told after it."""
        self._timers.pop("status", None)
        if self._status() != self._told:
            self._send()
            self._again("status", STATUS_SECS, self._tell_status)

    def _alive(self) -> None:
        if self._notifier is not None:
            self._notifier.send("WATCHDOG=1")
        self._again("alive", self._alive_every, self._alive)

    def _drains(self) -> None:
        self._send(_more_time())
        self._again("drain", EXTEND_EVERY_SECS, self._drains)

    def _again(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        self._timers[name] = self._clock.call_at(self._clock.time() + seconds, call)

    def _send(self, *states: str, must: bool = False) -> None:
        """States, and the status text if it changed."""
        if self._notifier is None:
            return
        status = self._status()
        if status != self._told:
            self._told = status
            states = (*states, f"STATUS={status}")
        self._notifier.send(*states, must=must)


def _more_time() -> str:
    return f"EXTEND_TIMEOUT_USEC={int(EXTEND_SECS * 1e6)}"
