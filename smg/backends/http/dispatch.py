"""One request on its way to a worker: who gets it, on which connection, and who next if that fails.

The first half of a relay's life, up to the head of an answer; `relay.py` is the second. Everything
taken here (a place among the worker's load, a half-open breaker's trial, the policy's ticket) is
given back by `_leave_worker`, once per attempt. Rules: routing-reliability 1, 3, 16 and 17.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg._speedups.clock import perf_counter
from smg.backends.http.target import target_of
from smg.core.errors import ConnectFailed, GatewayError, ReplyTooLarge, UpstreamError
from smg.protocols import routing_text, splice
from smg.reliability.breaker import FAILURE, NEVER, NOTHING, SUCCESS
from smg.reliability.retry import EXHAUSTED, SUPPRESSED, untried, verdict
from smg.reliability.retry_after import retry_after
from smg.workers.selection import all_overloaded, no_available_workers, nobody_available

if TYPE_CHECKING:
    import asyncio

    from smg.backends.http.context import RelayContext
    from smg.backends.http.lane import Lane
    from smg.backends.http.series import RelaySeries
    from smg.backends.http.target import Target
    from smg.policies.base import Policy
    from smg.protocols.body import CheckedBody
    from smg.reliability.breaker import Breaker
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection
    from smg.workers.model import Worker

# Logged under the relay's name: to an operator both halves are one thing.
log = logging.getLogger("smg.backends.http.relay")


class Dispatch:
    """See the module. Also what a policy sees of the request (`RoutingView`).

    `backend` is None only in unit tests of the view. Subclasses answer the client.
    """

    def __init__(
        self, backend: RelayContext, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        self.backend = backend
        self.exchange = exchange
        self.body = body
        self.endpoint = endpoint
        self.path = path
        self.model = body.model
        self.headers = exchange.headers
        self.conn: UpstreamConnection | None = None
        self.ticket = 0
        self._worker: Worker | None = None
        self._target: Target | None = None  # of that worker
        self._breaker: Breaker | None = None  # of that worker
        self._term = 0  # of that breaker
        self._series: RelaySeries | None = None
        self._policy: Policy | None = None  # one that follows requests
        self._decision = b""
        self._unread = False  # somebody wants to know when the body begins
        self._told = False  # the policy knows that the body began
        self._resent = False
        self._sent = False  # the request is on its way to the worker
        self._over = False
        self._tried: tuple[Worker, ...] = ()
        self._attempts = 1
        self._pause: asyncio.TimerHandle | None = None  # until the next attempt
        self._dispatched = 0.0

    # -- RoutingView ------------------------------------------------------------------------------

    def text(self) -> str:
        """The flattened prompt."""
        return routing_text.text(self.endpoint, self.body.data)

    def tokens(self) -> Sequence[int] | None:
        """Token ids from the hint header or the body."""
        hint = self.exchange.header(b"x-smg-routing-tokens")
        if hint is not None and (ids := routing_text.header_tokens(hint)) is not None:
            return ids
        return routing_text.tokens(self.endpoint, self.body.data)

    def routing_key(self) -> bytes | None:
        """The first usable routing-key header."""
        return routing_text.routing_key(self.headers, self.backend.key_headers)

    def request_key(self) -> bytes | None:
        """The body's own request id."""
        return routing_text.request_key(self.body.data)

    # -- the first attempt ------------------------------------------------------------------------

    def start(self) -> None:
        """Choose a worker and send. Raises GatewayError while nothing was taken yet."""
        backend = self.backend
        try:
            lane = backend.lane(self.model)
            if lane.renames:
                self._rename(lane.group.model)
            taken = self._take(lane, lane.group.available)
            if not taken and not self._may_come_back(lane):
                raise self._nobody(lane)
        except GatewayError as error:
            if backend.series is not None:
                self._count_refused(error)
            raise
        series = lane.series(self.endpoint, self.body.stream)
        if series is not None:
            self._series = series
            series.requests.inc()
            if taken:
                series.selections.inc()
        if backend.retry is not None:
            backend.budget.request(self.exchange.started)
        self.exchange.consumer = self  # type: ignore[assignment]  # the subclass is one
        backend.deadlines.add(self)
        if taken:
            self._acquire(False)
        else:
            self._nobody_yet(lane)

    def _nobody_yet(self, lane: Lane) -> None:
        """Nobody was chosen, but somebody may come back."""
        self._fail_or_retry(no_available_workers())

    def _may_come_back(self, lane: Lane) -> bool:
        """Whether waiting for a breaker could help a request that found nobody available."""
        return self.backend.retry is not None and bool(lane.available_at() < NEVER)

    def _nobody(self, lane: Lane) -> GatewayError:
        """Why there is no worker to choose."""
        backend, group = self.backend, lane.group
        if group.available:
            return no_available_workers()  # the policy wants none of them
        error = nobody_available(group.workers, backend.shed_retry_after)
        if error.retry_after is not None and backend.series is not None:
            backend.series.shed("selection")
        return error

    def _rename(self, model: str) -> None:
        """The client said an alias: from here on everything goes by the model's own name, in the
        body too.
        """
        self.body.raw = splice.replace_model(self.body, model)
        self.model = model

    def _take(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Let the policy choose among `workers`; False if it chooses nobody."""
        policy = lane.policy
        worker = policy.select(workers, self) if workers else None
        if worker is None:
            return False
        if self.backend.notes_decisions:
            self._explain(policy, worker)
        worker.acquire()
        self._worker = worker
        breaker = worker.breaker
        if breaker is not None:
            self._breaker = breaker
            # Closed, it does not look at the time.
            self._term = breaker.dispatched(perf_counter() if breaker.state else 0.0)
        if lane.follows:
            self._policy = policy
            self._told = False
            self._unread = lane.follows_first_byte
        return True

    def _explain(self, policy: Policy, worker: Worker) -> None:
        """Why this worker: for the debug log, and with `--explain-routing` for the client."""
        decision = f"policy={policy.name}; reason={policy.reason or policy.name}"
        if policy.score >= 0:
            decision += f"; score={policy.score:.2f}"
        if self._tried:
            decision += f"; attempts={len(self._tried) + 1}"
        if self.backend.explain:
            line = f"x-smg-routing-decision: {decision}\r\n"
            self._decision = line.encode("latin-1", "replace")
        fields = {
            "request_id": self.exchange.request_id.decode("latin-1"),
            "routing_decision": decision,
            "branch": policy.reason or policy.name,
            "worker": worker.url,
            "model_id": self.model,
        }
        log.debug("routed to %s", worker.url, extra={"fields": fields})

    def _count_refused(self, error: GatewayError) -> None:
        assert self.backend.series is not None
        # An unknown name comes from the client and is without number; a known one is a label
        # already.
        model, policy = "other", "none"
        if error.status != 404:
            model, policy = self.model, self.backend.lane(self.model).policy.name
        series = self.backend.series.relay(model, self.endpoint, self.body.stream, policy)
        series.requests.inc()
        series.failed(error.status)
        self.backend.series.upstream(error.status, str(error.code), reached=False)

    # -- the connection ---------------------------------------------------------------------------

    def _acquire(self, fresh: bool) -> None:
        assert self._worker is not None
        # Kept: a worker whose key changes gets another one, in the middle of requests.
        target = self._target = target_of(self._worker, self.backend.client)
        conn = target.pool.acquire(self, fresh)  # type: ignore[arg-type]  # the subclass is a user
        if conn is not None:
            self._send(conn)

    def connected(self, conn: UpstreamConnection) -> None:
        """The pool opened a connection for us."""
        if self._over:
            self._leave_unused(conn)  # the client left meanwhile
        elif self._worker is not None and self._worker.overloaded:
            self._leave_unused(conn)
            self._turn_away(self._worker)
        else:
            self._send(conn)

    def _leave_unused(self, conn: UpstreamConnection) -> None:
        """The connection is good for somebody else."""
        conn.uses = 1  # to them it is a kept connection, which may be dead
        conn.pool.release(conn)

    def _turn_away(self, worker: Worker) -> None:
        """While we connected to the worker it said that it has too much: somebody else has the
        request, or nobody. (On a kept connection nothing can happen between choice and sending.)
        """
        backend = self.backend
        self._leave_worker(NOTHING)
        self._tried = (*self._tried, worker)
        try:
            lane = backend.lane(self.model)
        except GatewayError as error:
            self._fail(error)
            return
        others = untried(lane.group.available, self._tried)
        if others and self._attempt(lane, others):
            return
        if backend.series is not None:
            backend.series.shed("dispatch")
        self._fail(all_overloaded(backend.shed_retry_after))

    def _send(self, conn: UpstreamConnection) -> None:
        worker, target = self._worker, self._target
        assert worker is not None
        assert target is not None
        raw = self.body.raw
        if worker.dp_rank >= 0:
            raw = splice.set_field(self.body, "data_parallel_rank", b"%d" % worker.dp_rank)
        head = self._request_head(target, len(raw))
        self.conn = conn
        self._sent = True
        conn.send(self, head, raw)  # type: ignore[arg-type]
        self._dispatched = perf_counter()
        if self.backend.first_byte.seconds:
            self.backend.first_byte.add(self)

    def _request_head(self, target: Target, length: int) -> bytes:
        """The head of the request to a worker, for a body of `length` bytes."""
        exchange = self.exchange
        path = self.path
        if exchange.query:
            # Not cached: query strings are without number.
            prefix = target.request_line("POST", path + "?" + exchange.query.decode("latin-1"))
            prefix += b"content-type: application/json\r\n"
        else:
            prefix = target.prefix(path)
        return self.backend.forward.head(
            prefix, self.headers, exchange.request_id, target.authorization, length
        )

    # -- further attempts -------------------------------------------------------------------------

    def _failed_before_head(self, error: UpstreamError, reused: bool) -> None:
        """The attempt ended without an answer: resend, go elsewhere, try again later, or fail."""
        backend = self.backend
        worker = self._worker
        assert worker is not None
        if backend.first_byte.seconds:
            backend.first_byte.discard(self)  # or it would end a pause, or the next connecting
        if reused and not self._resent:
            # A kept connection was closed under us before any answer byte: the one safe resend.
            self._resent = True
            self._sent = False
            if backend.series is not None:
                backend.series.resends.inc()
            self.exchange.waited = perf_counter() - self.exchange.started
            self._acquire(True)
            return
        backend.worker_failed(worker)
        if (
            not self._sent
            and isinstance(error, ConnectFailed)
            and self._go_elsewhere(worker, error)
        ):
            return
        self._fail_or_retry(error)

    def _fail_or_retry(self, error: GatewayError, asked: float = 0.0) -> None:
        if not self._try_again(error.status, str(error.code), asked, evidence_of(error)):
            self._fail(error)

    def _fail(self, error: GatewayError) -> None:
        """Answer the client with an error; the subclass does."""
        raise NotImplementedError

    def _go_elsewhere(self, worker: Worker, error: UpstreamError) -> bool:
        """Nobody answered at this worker's address, so nothing was begun: another one that was not
        tried yet may have the request, at once. False if there is none.
        """
        backend = self.backend
        try:
            lane = backend.lane(self.model)
        except GatewayError:
            return False  # the model's last worker was removed meanwhile
        tried = (*self._tried, worker)
        others = untried(lane.group.available, tried)
        if not others:
            return False
        self._tried = tried
        self._leave_worker(FAILURE)
        if backend.series is not None:
            backend.series.upstream(error.status, str(error.code))
        return self._attempt(lane, others)

    def _try_again(self, status: int, code: str, asked: float, evidence: int) -> bool:
        """Whether there is a further attempt after one that ended in `status`; it is under way
        then. `asked` is the worker's `Retry-After` in seconds, `evidence` as in `_leave_worker`.
        """
        backend = self.backend
        settings = backend.retry
        if settings is None:
            return False
        worker = self._at_fault()
        if worker is not None:
            settings = settings.merged(worker.spec.resilience)
        if not settings.retries(status):
            return False
        try:
            lane = backend.lane(self.model)
        except GatewayError:
            return False
        # Before the verdict: if this failure takes the last worker out, there is nobody to try.
        self._tell_breaker(evidence)
        tried = self._tried if worker is None else (*self._tried, worker)
        now = perf_counter()
        limit = backend.deadlines.seconds
        decision = verdict(
            settings,
            backend.budget,
            now,
            attempts=self._attempts,
            status=status,
            deadline=self.exchange.started + limit if limit else NEVER,
            others=lane.has_others(tried),
            asked=asked,
            available_at=lane.available_at(),
            random=random.random(),
        )
        series = self._series
        if not decision.again:
            if decision.reason == EXHAUSTED:
                attempts, extra = self._attempts, self.exchange.log_extra()
                log.warning("retries exhausted after %d attempts", attempts, extra=extra)
            if series is not None:
                if decision.reason == EXHAUSTED:
                    series.retries_exhausted.inc()
                elif decision.reason == SUPPRESSED:
                    series.retries_suppressed.inc()
            return False
        self._tried = tried
        self._leave_worker(evidence)
        if backend.series is not None:
            backend.series.upstream(status, code, reached=worker is not None)
            backend.series.backoff(self._attempts, decision.wait)
        if series is not None:
            series.retries.inc()
        self._attempts += 1
        if decision.wait > 0:
            loop = self.exchange.server.loop
            self._pause = loop.call_later(decision.wait, self._next_attempt)
        else:
            self._next_attempt()
        return True

    def _at_fault(self) -> Worker | None:
        """The worker that ended the attempt."""
        return self._worker

    def _next_attempt(self) -> None:
        """The pause is over."""
        self._pause = None
        if self._over:
            return
        try:
            lane = self.backend.lane(self.model)
        except GatewayError as error:
            self._fail(error)  # the model's last worker was removed meanwhile
            return
        available = lane.group.available
        if not self._attempt(lane, untried(available, self._tried) or available):
            self._fail_or_retry(self._nobody(lane))

    def _attempt(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Send the request once more; False if the policy chooses nobody."""
        try:
            if not self._take(lane, workers):
                return False
        except Exception as failure:
            self._policy_failed(lane.policy, failure)
            return False
        if self._series is not None:
            self._series.selections.inc()
        self.exchange.waited = perf_counter() - self.exchange.started
        self._resent = False
        self._sent = False
        self._acquire(False)
        return True

    def _asked_to_wait(self, headers: Sequence[tuple[bytes, bytes]]) -> float:
        """Seconds that a refusing worker's `Retry-After` names; 0 without one."""
        return retry_after(headers, time.time())

    # -- giving back ------------------------------------------------------------------------------

    def _tell_first_byte(self, policy: Policy, worker: Worker) -> None:
        if self._told:
            return
        self._told = True
        try:
            policy.first_byte(worker, self)
        except Exception as error:  # perhaps of others' code; it must not cost anybody an answer
            self._policy_failed(policy, error)

    def _policy_failed(self, policy: Policy, error: Exception) -> None:
        extra = self.exchange.log_extra()
        log.error("policy %s failed", policy.name, exc_info=error, extra=extra)

    def _tell_breaker(self, evidence: int) -> None:
        """What the attempt says about its worker; told once."""
        breaker = self._breaker
        if breaker is None:
            return
        self._breaker = None
        if evidence == SUCCESS:
            breaker.succeeded(self._term, perf_counter())
        elif evidence == FAILURE:
            breaker.failed(self._term, perf_counter())
        else:
            breaker.abandoned(self._term)

    def _leave_worker(self, evidence: int) -> None:
        """Give back what the choice of a worker took. `evidence` is what the attempt says about the
        worker: a result of `smg.reliability.breaker`.
        """
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.release()
        if self._breaker is not None:
            self._tell_breaker(evidence)
        policy = self._policy
        if policy is not None:
            self._policy = None
            self._tell_first_byte(policy, worker)
            try:
                policy.ended(worker, self)
            except Exception as error:
                self._policy_failed(policy, error)


def evidence_of(error: GatewayError) -> int:
    """What an error says about the worker: without an answer it failed, whichever statuses count as
    failures; an answer above our own limit, and our own shutdown, say nothing.
    """
    ours = not isinstance(error, UpstreamError) or isinstance(error, ReplyTooLarge)
    return NOTHING if ours else FAILURE
