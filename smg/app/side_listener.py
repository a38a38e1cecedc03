"""Answers short requests on a port of its own, from a thread of its own.

Probes must be answered while the event loop is busy, and scrapes must not make it busy. Plain HTTP,
one answer per connection, no keys; whatever arrives, connections, memory and time are bounded, and
a new connection takes the place of the oldest, so that idle ones keep nobody out.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
MOST_REST = 65_536  # bytes read away after the answer, so that closing does not destroy it
LIFE_SECS = 5.0  # of a connection, from accept to close
BACKLOG = 128
PAUSE_SECS = 0.1  # when no connection can be accepted


class Connection:
    """One accepted connection."""

    __slots__ = ("answered", "deadline", "head", "rest", "sock", "unsent")

    def __init__(self, sock: socket.socket, life: float) -> None:
        self.sock = sock
        self.deadline = time.monotonic() + life
        self.head = b""
        self.answered = False
        self.unsent = memoryview(b"")
        self.rest = MOST_REST


class SideListener:
    """Listens on bound sockets from `start()` to `close()`; both on any thread, each once.

    `answer` makes the whole answer from the bytes received so far, or None while they are not all;
    it is called on the thread. `name` is for logs, `life` is how long a connection lasts, seconds.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        answer: Callable[[bytes], bytes | None],
        *,
        name: str,
        life: float = LIFE_SECS,
    ) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._sockets = list(sockets)
        self._answer = answer
        self._name = name
        self._life = life
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, Connection] = {}  # by file descriptor, oldest first
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=f"smg-{name}", daemon=True)

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
            log.warning("%s listener cannot accept: %s", self._name, error)
            time.sleep(PAUSE_SECS)
            return
        self._open[sock.fileno()] = Connection(sock, self._life)

    def _serve(self, connection: Connection) -> None:
        try:
            if connection.unsent:
                self._send(connection)
            else:
                self._read(connection)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._drop(connection)
        except Exception:  # a bug of ours must not end the thread: a silent port gets us killed
            log.exception("%s listener failed", self._name)
            self._drop(connection)

    def _read(self, connection: Connection) -> None:
        data = connection.sock.recv(4096)
        if not data:
            self._drop(connection)
        elif connection.answered:
            connection.rest -= len(data)
            if connection.rest < 0:
                self._drop(connection)
        else:
            connection.head += data
            reply = self._answer(connection.head)
            if reply is not None:
                connection.answered = True
                connection.head = b""
                connection.unsent = memoryview(reply)
                self._selector.modify(connection.sock, selectors.EVENT_WRITE)
                self._send(connection)

    def _send(self, connection: Connection) -> None:
        sent = connection.sock.send(connection.unsent)
        connection.unsent = connection.unsent[sent:]
        if not connection.unsent:
            self._selector.modify(connection.sock, selectors.EVENT_READ)
            connection.sock.shutdown(socket.SHUT_WR)

    def _drop(self, connection: Connection) -> None:
        del self._open[connection.sock.fileno()]
        self._selector.unregister(connection.sock)
        connection.sock.close()
