"""A decode leg whose client left at a bad moment.

Once prefill has committed its KV cache, only decode's taking it frees the blocks at once; a decode
that is closed before leaves them to a timer of the engine's. So it is kept until its first byte
shows that it has them, at most `KEPT_SECS`. It counts as load of its worker meanwhile.
Rules: routing-reliability 23.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from smg.backends.http.target import target_of

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.pd.leg import PrefillLeg
    from smg.core.errors import UpstreamError
    from smg.upstream.connection import UpstreamConnection
    from smg.workers.model import Worker

#: head and body of decode's request; None if it is not to be sent
Request = tuple[bytes, bytes]


class Opener(Protocol):
    """Who asked for a connection to decode."""

    def decode_connected(self, conn: UpstreamConnection) -> None:
        """Here it is."""

    def decode_unreachable(self, error: UpstreamError) -> None:
        """There is none."""


class Opening:
    """A connection to decode that is being opened, for whoever wants it then. Attempts overtake
    each other: one that was given up must not be mistaken for the next.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: Opener | None) -> None:
        self.owner = owner

    def connected(self, conn: UpstreamConnection) -> None:
        """The pool opened a connection."""
        owner = self.owner
        if owner is not None:
            owner.decode_connected(conn)
        else:
            conn.uses = 1  # to whoever takes it, it is a kept connection, which may be dead
            conn.pool.release(conn)

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """The pool could not."""
        if self.owner is not None:
            self.owner.decode_unreachable(error)

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Never: requests are sent by the owner, in its own name."""

    def upstream_first(self, piece: bytes) -> None:
        """Never."""

    def upstream_done(self, tail: bytes) -> None:
        """Never."""


class KeptLeg:
    """See the module. `leg` is the prefill leg, which is closed with this one if it still runs.

    `later(leg)` makes decode's request if it could not be made yet.
    """

    def __init__(
        self,
        backend: PairBackend,
        worker: Worker,
        leg: PrefillLeg,
        later: Callable[[PrefillLeg], Request | None],
    ) -> None:
        self.backend = backend
        self._worker = worker
        self._leg = leg
        self._later = later
        self._request: Request | None = None
        self._conn: UpstreamConnection | None = None
        self._opening: Opening | None = None
        self._over = False
        worker.acquire()
        backend.kept.add(self)

    def adopt(self, conn: UpstreamConnection) -> None:
        """Wait for what comes on a connection that the request is on its way on."""
        self._conn = conn
        conn.user = self
        conn.sink = self._byte
        conn.resume()

    def await_connection(self, opening: Opening, request: Request) -> None:
        """Send `request` on a connection that is being opened."""
        self._opening = opening
        self._request = request
        opening.owner = self

    def decode_connected(self, conn: UpstreamConnection) -> None:
        """Send."""
        assert self._request is not None
        self._opening = None
        self._conn = conn
        conn.send(self, *self._request)
        self._request = None

    def decode_unreachable(self, error: UpstreamError) -> None:
        """Nobody will take the KV cache."""
        self.close()

    # -- decode -----------------------------------------------------------------------------------

    def connected(self, conn: UpstreamConnection) -> None:
        """Never: `Opening` is asked."""

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """The body matters."""
        conn.sink = self._byte

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head."""
        if piece:
            self.close()

    def _byte(self, data: bytes) -> None:
        self.close()

    def upstream_done(self, tail: bytes) -> None:
        """The whole answer came."""
        self._conn = None
        self.close()

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """Decode is gone."""
        self._conn = None
        self.close()

    # -- prefill ----------------------------------------------------------------------------------

    def prefill_answered(self, leg: PrefillLeg) -> None:
        """It had when the client left."""

    def prefill_done(self, leg: PrefillLeg) -> None:
        """Decode can be asked now, if it was not."""
        if self._over or self._conn is not None or self._opening is not None:
            return
        self._request = self._later(leg)
        if self._request is None:
            self.close()
            return
        opening = Opening(self)
        conn = target_of(self._worker, self.backend.client).pool.acquire(opening)
        if conn is not None:
            self.decode_connected(conn)
        else:
            self._opening = opening

    def prefill_failed(self, leg: PrefillLeg, error: UpstreamError) -> None:
        """There will be no KV cache to take."""
        self.close()

    def prefill_refused(self, leg: PrefillLeg, head: ReplyHead) -> None:
        """Never: it had answered."""

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Over: decode has what it needs, or will not get it."""
        if self._over:
            return
        self._over = True
        self.backend.kept.discard(self)
        self._worker.release()
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.drop()
        if self._opening is not None:
            self._opening.owner = None
        self._leg.owner = None
        if not self._leg.done:
            self._leg.drop()
