"""The prefill leg of a request: a request of its own to a worker of its own.

The user of its upstream connection and its policy's view of the request. It holds a place among the
worker's load until the client's request is over (routing-reliability 23.2), and tells the worker's
breaker how its own part went, nothing of the decode leg's. What its answer means for the request is
for its owner to say.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from smg.backends.http.pd.faults import late
from smg.backends.http.target import target_of
from smg.reliability.breaker import FAILURE, NOTHING, SUCCESS

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.lane import Lane
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.target import Target
    from smg.core.errors import UpstreamError
    from smg.policies.base import Policy
    from smg.reliability.breaker import Breaker
    from smg.upstream.connection import UpstreamConnection
    from smg.workers.model import Worker

log = logging.getLogger("smg.backends.http.relay")

#: bytes of an error body that are read for its message
ERROR_BYTES = 65_536


class Owner(Protocol):
    """Who wants to know how the leg goes. After `prefill_done`, `prefill_failed` nothing follows;
    after `prefill_refused` comes `prefill_done`, with the body of the error, unless it parts.
    """

    backend: PairBackend

    def prefill_answered(self, leg: PrefillLeg) -> None:
        """A good head came."""

    def prefill_done(self, leg: PrefillLeg) -> None:
        """The answer is complete."""

    def prefill_failed(self, leg: PrefillLeg, error: UpstreamError) -> None:
        """There is no answer, or it broke off."""

    def prefill_refused(self, leg: PrefillLeg, head: ReplyHead) -> None:
        """The worker answers with an error."""


class Request(Owner, Protocol):
    """The request that the leg is of."""

    model: str
    headers: list[tuple[bytes, bytes]]

    def text(self) -> str: ...
    def tokens(self) -> Sequence[int] | None: ...
    def routing_key(self) -> bytes | None: ...
    def request_key(self) -> bytes | None: ...

    def head_to(self, target: Target, length: int) -> bytes:
        """The head of the request to a worker, for a body of `length` bytes."""


class PrefillLeg:
    """See the module. One per attempt; `answered`: the head came and is good, `done`: the answer is
    complete, `body`: what was collected of it, None if it is only drained, or was too large.
    """

    def __init__(self, request: Request) -> None:
        self.owner: Owner | None = request  # None: nobody wants to know any more
        self.backend = request.backend
        self.model = request.model
        self.headers = request.headers
        self._request: Request | None = request
        self.ticket = 0
        self.worker: Worker = None  # type: ignore[assignment]  # until `take`
        self.target: Target = None  # type: ignore[assignment]  # until `send`
        self.conn: UpstreamConnection | None = None
        self.sent = False
        self.answered = False
        self.done = False
        self.status = 0
        self.sent_at = 0.0
        self._raw = b""
        self._resent = False
        self._breaker: Breaker | None = None
        self._term = 0
        self._policy: Policy | None = None
        self._told = False
        self._holds_load = False
        self._pieces: list[bytes] | None = None
        self._room = 0  # bytes that may still be collected
        self._over = False

    # -- RoutingView ------------------------------------------------------------------------------

    def text(self) -> str:
        """The flattened prompt."""
        return self._view.text()

    def tokens(self) -> Sequence[int] | None:
        """Token ids from the hint header or the body."""
        return self._view.tokens()

    def routing_key(self) -> bytes | None:
        """The first usable routing-key header."""
        return self._view.routing_key()

    def request_key(self) -> bytes | None:
        """The body's own request id."""
        return self._view.request_key()

    @property
    def _view(self) -> Request:
        assert self._request is not None
        return self._request

    # -- the worker -------------------------------------------------------------------------------

    def take(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Let the policy choose among `workers`; False if it chooses nobody."""
        policy = lane.policy
        worker = policy.select(workers, self) if workers else None
        if worker is None:
            return False
        self.worker = worker
        worker.acquire()
        self._holds_load = True
        breaker = worker.breaker
        if breaker is not None:
            self._breaker = breaker
            self._term = breaker.dispatched(perf_counter() if breaker.state else 0.0)
        if lane.follows:
            self._policy = policy
        return True

    def send(self, raw: bytes, collect: int = 0) -> None:
        """Send `raw`; keep up to `collect` bytes of the answer."""
        self._raw = raw
        if collect:
            self._pieces, self._room = [], collect
        self._acquire(False)

    def _acquire(self, fresh: bool) -> None:
        self.target = target_of(self.worker, self.backend.client)
        conn = self.target.pool.acquire(self, fresh)
        if conn is not None:
            self._send(conn)

    def connected(self, conn: UpstreamConnection) -> None:
        """The pool opened a connection for us."""
        if self._over:
            conn.uses = 1  # to whoever takes it, it is a kept connection, which may be dead
            conn.pool.release(conn)
        else:
            self._send(conn)

    def _send(self, conn: UpstreamConnection) -> None:
        raw = self._raw
        self.conn = conn
        self.sent = True
        self.sent_at = perf_counter()
        conn.send(self, self._view.head_to(self.target, len(raw)), raw)
        if self.backend.first_byte.seconds:
            self.backend.first_byte.add(self)

    # -- the answer -------------------------------------------------------------------------------

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Good or not; the body is collected or thrown away."""
        self._heard()
        self.status = status = head.status
        self._raw = b""
        owner = self.owner
        if 200 <= status < 300:
            self.answered = True
            if self._breaker is not None and self._breaker.state:
                self._term = self._breaker.began(self._term)
            self._first_byte()
            conn.decode = self._pieces is not None
            conn.sink = self._piece
            if owner is not None:
                owner.prefill_answered(self)
            return
        self._pieces, self._room = [], ERROR_BYTES
        conn.decode = True
        conn.sink = self._piece
        evidence = NOTHING if self._breaker is None else self._breaker.judge(status)
        self._tell_breaker(evidence)
        if owner is not None:
            owner.prefill_refused(self, head)

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head."""
        self._piece(piece)

    def _piece(self, data: bytes) -> None:
        pieces = self._pieces
        if pieces is None or not data:
            return
        self._room -= len(data)
        if self._room >= 0:
            pieces.append(data)
        elif self.answered:
            self._pieces = None
        # else of an error the beginning will do

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete."""
        self.conn = None
        self._piece(tail)
        self.done = True
        self._over = True
        self._tell_breaker(SUCCESS)
        self.backend.draining.discard(self)
        if self.owner is not None:
            self.owner.prefill_done(self)

    @property
    def body(self) -> bytes | None:
        """What was collected."""
        return None if self._pieces is None else b"".join(self._pieces)

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """The worker failed. A kept connection that had died is replaced once."""
        self.conn = None
        self._heard()
        if self._over:
            return
        if reused and not self._resent:
            self._resent = True
            self.sent = False
            if self.backend.series is not None:
                self.backend.series.resends.inc()
            self._acquire(True)
            return
        self._lost(error)

    def first_byte_late(self) -> None:
        """The worker took the request and says nothing."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()
        self._lost(late("prefill"))

    def _lost(self, error: UpstreamError) -> None:
        self._over = True
        self._tell_breaker(FAILURE)
        self.backend.draining.discard(self)
        owner = self.owner
        if self.status and not self.answered:
            self._pieces = None  # an error whose message is not known
            if owner is not None:
                owner.prefill_done(self)
            return
        self.backend.worker_failed(self.worker)
        if owner is not None:
            owner.prefill_failed(self, error)

    # -- giving back ------------------------------------------------------------------------------

    def part(self, *, drain: bool, owner: Owner | None = None) -> None:
        """The client's request is over, or goes on without this leg. `drain`: the rest of the
        answer is read, so that the worker may end what it does; else the connection is closed.
        `owner` wants to know from now on.
        """
        self._request = None
        self.owner = owner
        self._first_byte()
        policy, self._policy = self._policy, None
        if policy is not None:
            try:
                policy.ended(self.worker, self)
            except Exception as error:  # perhaps of others' code
                policy_failed(policy, error)
        if self._holds_load:
            self._holds_load = False
            self.worker.release()
        if self._over:
            return
        if drain and self.conn is not None:
            if owner is None:
                self._pieces = None
            self.backend.draining.add(self)
        else:
            self.drop()

    def drop(self) -> None:
        """Close at once; says nothing about the worker."""
        self._over = True
        self._heard()
        self.backend.draining.discard(self)
        self._tell_breaker(NOTHING)
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()

    def blame(self) -> None:
        """It used up the request's time."""
        self._tell_breaker(FAILURE)
        self.backend.worker_failed(self.worker)

    def _heard(self) -> None:
        if self.backend.first_byte.seconds:
            self.backend.first_byte.discard(self)

    def _first_byte(self) -> None:
        policy = self._policy
        if policy is None or self._told:
            return
        self._told = True
        try:
            policy.first_byte(self.worker, self)
        except Exception as error:  # perhaps of others' code
            policy_failed(policy, error)

    def _tell_breaker(self, evidence: int) -> None:
        breaker, self._breaker = self._breaker, None
        if breaker is None:
            return
        if evidence == SUCCESS:
            breaker.succeeded(self._term, perf_counter())
        elif evidence == FAILURE:
            breaker.failed(self._term, perf_counter())
        else:
            breaker.abandoned(self._term)


def policy_failed(policy: Policy, error: Exception) -> None:
    """A policy's fault costs nobody an answer."""
    log.error("policy %s failed", policy.name, exc_info=error)
