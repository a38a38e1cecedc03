"""Answers probes on a port of its own, from a thread of its own (`--health-check-port`).

A busy event loop fails no probe here: the thread reads a snapshot that the loop leaves behind. So
`/liveness` and `/health` say that the process lives, not that its loop turns. Plain HTTP, one
answer per connection, no keys; whatever arrives, connections, memory and time are bounded, and a
new connection takes the place of the oldest, so that idle ones keep no probe out.
Rules: http-api 7, cli 4.1.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.core.errors import GatewayError, NotFoundError, RequestError
from smg.endpoints.probes import ALIVE, readiness_answer
from smg.server.head import head_too_large, origin_form
from smg.wire.errors import JSON, error_body, error_headers
from smg.wire.head import status_line

if TYPE_CHECKING:
    from smg.fleet.readiness import Readiness, Snapshot

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
MOST_HEAD = 8192  # bytes
MOST_REST = 65_536  # bytes read away after the answer, so that closing does not destroy it
LIFE_SECS = 5.0  # of a connection, from accept to close
BACKLOG = 128
PAUSE_SECS = 0.1  # when no connection can be accepted


class Connection:
    """One accepted connection."""

    __slots__ = ("answered", "deadline", "head", "rest", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = time.monotonic() + LIFE_SECS
        self.head = b""
        self.answered = False
        self.rest = MOST_REST


class ProbeListener:
    """Listens on bound sockets from `start()` to `close()`; both on any thread, each once."""

    def __init__(self, sockets: Sequence[socket.socket], readiness: Readiness) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._sockets = list(sockets)
        self._readiness = readiness
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, Connection] = {}  # by file descriptor, oldest first
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="smg-probes", daemon=True)

    def start(self) -> None:
        """Begin to answer. Raises OSError when somebody else took the port meanwhile."""
        for sock in self._sockets:
            sock.listen(BACKLOG)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """Stop at once; does not wait for clients."""
        self._closing = True
        if self._thread.is_alive():
            self._wake.send(b"\0")
            self._thread.join()
        for connection in list(self._open.values()):
            self._drop(connection)
        self._selector.close()
        for sock in (*self._sockets, self._wake, self._woken):
            sock.close()

    # -- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        listeners = {sock.fileno(): sock for sock in self._sockets}
        while not self._closing:
            for key, _ in self._selector.select(self._patience()):
                # A descriptor may have changed hands since: then there is nothing to read.
                if key.fd in listeners:
                    self._accept(listeners[key.fd])
                elif key.fd in self._open:
                    self._serve(self._open[key.fd])
            now = time.monotonic()
            while self._open and (oldest := next(iter(self._open.values()))).deadline <= now:
                self._drop(oldest)

    def _patience(self) -> float | None:
        """Seconds until the next connection has lived long enough."""
        for oldest in self._open.values():
            return max(0.0, oldest.deadline - time.monotonic())
        return None

    def _accept(self, listener: socket.socket) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            self._drop(next(iter(self._open.values())))
        try:
            sock, _ = listener.accept()
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # the client has left already
        except OSError as error:  # out of file descriptors or memory: do not spin
            log.warning("probe listener cannot accept: %s", error)
            time.sleep(PAUSE_SECS)
            return
        self._open[sock.fileno()] = Connection(sock)

    def _serve(self, connection: Connection) -> None:
        try:
            self._read(connection)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._drop(connection)
        except Exception:  # a bug of ours must not end the thread: a silent port gets us killed
            log.exception("probe listener failed")
            self._drop(connection)

    def _read(self, connection: Connection) -> None:
        sock = connection.sock
        data = sock.recv(4096)
        if not data:
            self._drop(connection)
        elif connection.answered:
            connection.rest -= len(data)
            if connection.rest < 0:
                self._drop(connection)
        else:
            connection.head += data
            reply = answer(connection.head, self._readiness.snapshot)
            if reply is not None:
                connection.answered = True
                connection.head = b""
                sock.sendall(reply)  # a new connection's buffer holds it
                sock.shutdown(socket.SHUT_WR)

    def _drop(self, connection: Connection) -> None:
        del self._open[connection.sock.fileno()]
        self._selector.unregister(connection.sock)
        connection.sock.close()


def answer(received: bytes, snapshot: Snapshot) -> bytes | None:
    """The whole answer to a request, or None while its head is not complete."""
    head, complete, _ = received.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if len(head) > MOST_HEAD:
        return _refusal(head_too_large())
    if not complete:
        return None
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        return _refusal(RequestError("Malformed HTTP request.", code="bad_request"))
    method, target, _ = parts
    if not target.startswith(b"/"):
        target = origin_form(target)
    path = target.partition(b"?")[0]
    with_body = method != b"HEAD"
    if path == b"/readiness":
        status, body, content_type = readiness_answer(snapshot)
    elif path in (b"/liveness", b"/health"):
        status, body, content_type = ALIVE
    else:
        return _refusal(NotFoundError("This port answers probes only."), with_body)
    if method not in (b"GET", b"HEAD"):
        return _refusal(
            GatewayError(
                "Method not allowed for this URL. Allowed: GET, HEAD.",
                status=405,
                code="method_not_allowed",
                headers=((b"allow", b"GET, HEAD"),),
            )
        )
    log.debug("probe %s: %d", path.decode(), status)
    return _whole(status, body, content_type, (), with_body)


def _refusal(error: GatewayError, with_body: bool = True) -> bytes:
    return _whole(error.status, error_body(error), JSON, error_headers(error), with_body)


def _whole(
    status: int,
    body: bytes,
    content_type: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    with_body: bool,
) -> bytes:
    lines = [
        status_line(status),
        b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body)),
        *(b"%b: %b\r\n" % header for header in headers),
        b"connection: close\r\n\r\n",
        body if with_body else b"",
    ]
    return b"".join(lines)
