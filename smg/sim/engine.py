"""The engine of one worker: admission, timing, counters.

A request is a `Job` that the wheel calls; there is no task and no timer per request. Prefill is
served one prompt after the other at the worker's prompt speed, decoding runs for all admitted
requests at once, as in a batching engine.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from smg.core.errors import GatewayError, RequestError
from smg.sim import prompts
from smg.sim.answers import STREAM_HEADERS, Answer
from smg.sim.cache import BLOCK_TOKENS, PrefixCache
from smg.sim.faults import HEADER, Fault, FaultBook, FaultError
from smg.sim.job import FaultyJob, Job, Outcome
from smg.sim.misbehaviour import strike_head
from smg.sim.settings import SimSettings
from smg.sim.wheel import Wheel

if TYPE_CHECKING:
    import asyncio

    from smg.server import Exchange

Planner = Callable[[dict[str, Any], SimSettings, str, bytes, int], Answer]
# What GET /sim/state shows of a request: method, path, query, headers, body.
Seen = tuple[bytes, bytes, bytes, list[tuple[bytes, bytes]], bytes]


class Engine:
    """State of one simulated worker. All methods run on the loop it was made for."""

    def __init__(self, settings: SimSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.loop = loop
        self.wheel = Wheel(loop, settings.tick_ms / 1000)
        self.cache = PrefixCache(settings.cache_blocks)
        self.faults = FaultBook(settings.port)
        for spec in settings.faults:
            self.faults.arm(spec)
        self.model = settings.models[0]
        self.token_latency = settings.token_latency_ms / 1000
        self.started_at = time.time()
        self.requests: Counter[str] = Counter()
        self.recent: deque[Seen] = deque(maxlen=settings.keep_requests)
        self.jobs: dict[Job, None] = {}
        self.completed = 0
        self.aborted = 0
        self.struck = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self._said = 0
        self.waiting: deque[Job] = deque()
        self._cost_per_token = (
            1 / settings.prefill_tokens_per_second if settings.prefill_tokens_per_second else 0.0
        )
        self._prefill_free = 0.0
        self._instant = not (
            self._cost_per_token
            or self.token_latency
            or settings.max_running
            or settings.cache_blocks
        )
        self._join_writes = settings.stream_writes == "joined"
        self._admitting = False
        self._serial = 0
        # Ids of different workers and runs must not meet.
        self._boot = os.urandom(4).hex().encode()
        self._authorization = b"Bearer " + settings.api_key.encode() if settings.api_key else None
        self._rate_time = loop.time()
        self._rate_tokens = 0
        self._rate = 0.0

    # -- what every request passes ----------------------------------------------------------------

    def enter(
        self, exchange: Exchange, path: str, answer: Callable[[dict[str, Any]], None]
    ) -> None:
        """Count, check the key, parse, answer: the way of every POST of a model API."""
        self.requests[path] += 1
        self.recent.append(
            (exchange.method, exchange.path, exchange.query, exchange.headers, exchange.body)
        )
        if (
            self._authorization is not None
            and exchange.header(b"authorization") != self._authorization
        ):
            self.unauthorized(exchange)
            return
        try:
            data = orjson.loads(exchange.body)
        except orjson.JSONDecodeError as error:
            raise prompts.reject(f"invalid JSON: {error}") from None
        if type(data) is not dict:
            raise prompts.reject("the body must be a JSON object")
        answer(data)

    def unauthorized(self, exchange: Exchange) -> None:
        """401 in the engines' shape."""
        error = {
            "message": "Unauthorized",
            "type": "invalid_request_error",
            "param": None,
            "code": 401,
        }
        exchange.respond(401, orjson.dumps({"error": error}))

    def fault_for(self, exchange: Exchange, path: str, *, anywhere: bool) -> Fault | None:
        """The fault that strikes this request, or None; RequestError for an unreadable header."""
        header = exchange.header(HEADER)
        if header is None and not self.faults.faults:
            return None
        try:
            fault = self.faults.pick(path, header, exchange.request_id, anywhere=anywhere)
        except FaultError as error:
            raise prompts.reject(f"{HEADER.decode()}: {error}") from None
        if fault is not None:
            self.struck += 1
        return fault

    def strike(self, exchange: Exchange, fault: Fault, proceed: Callable[[], None]) -> None:
        """Carry out a fault that comes before the answer."""

        def resume() -> None:
            try:
                proceed()
            except GatewayError as error:
                exchange.fail(error)

        strike_head(exchange, fault, self.wheel, resume, self._count_abort)

    def model_of(self, data: dict[str, Any]) -> str:
        """The model name to answer with; with `--strict-model` an unknown one is a 404."""
        model = data.get("model")
        if not isinstance(model, str) or not model:
            return self.model
        if self.settings.strict_model and model not in self.settings.models:
            message = f"The model `{model}` does not exist."
            raise RequestError(message, status=404, code=404, param="model")
        return model

    # -- generation -------------------------------------------------------------------------------

    def generation(self, path: str, planner: Planner) -> Callable[[Exchange], None]:
        """The `start` of a route that answers with tokens."""

        def start(exchange: Exchange) -> None:
            fault = self.fault_for(exchange, path, anywhere=True)
            if fault is not None and not fault.in_body:
                self.strike(exchange, fault, lambda: begin(exchange, None))
            else:
                begin(exchange, fault)

        def begin(exchange: Exchange, fault: Fault | None) -> None:
            self.enter(exchange, path, lambda data: self._generate(exchange, planner, data, fault))

        return start

    def _generate(
        self, exchange: Exchange, planner: Planner, data: dict[str, Any], fault: Fault | None
    ) -> None:
        self._start(exchange, self._plan(planner, data), fault)

    def _plan(self, planner: Planner, data: dict[str, Any]) -> Answer:
        self._serial += 1
        ident = self._boot + b"%010x" % self._serial
        return planner(data, self.settings, self.model_of(data), ident, int(time.time()))

    def _start(
        self, exchange: Exchange, answer: Answer, fault: Fault | None, *, fetched: bool = False
    ) -> None:
        """Answer. `fetched`: another engine has read the prompt."""
        if self._instant and fault is None:
            self._answer_at_once(exchange, answer)
            return
        job = (
            Job(self, exchange, answer)
            if fault is None
            else FaultyJob(self, exchange, answer, fault)
        )
        job.fetched = fetched
        self._enqueue(exchange, job)

    def _enqueue(self, exchange: Exchange, job: Job) -> None:
        exchange.consumer = job
        limit = self.settings.max_running
        if limit and len(self.jobs) >= limit:
            self.waiting.append(job)
        else:
            self._admit(job)

    def _answer_at_once(self, exchange: Exchange, answer: Answer) -> None:
        self.completed += 1
        self.prompt_tokens += answer.prompt_tokens
        self._said += answer.completion_tokens
        if not answer.stream:
            exchange.respond(200, answer.body(0))
            return
        exchange.start(200, STREAM_HEADERS)
        if exchange.framed and not self._join_writes:
            exchange.write_raw(answer.chunks(0))
        else:
            exchange.write(b"".join(answer.frames(0)))
        exchange.finish()

    def _admit(self, job: Job) -> None:
        self.jobs[job] = None
        answer = job.answer
        now = self.loop.time()
        cached = min(self.cache.use(answer.prompt), answer.prompt_tokens - 1)
        self.prompt_tokens += answer.prompt_tokens
        self.cached_tokens += cached
        cost = (answer.prompt_tokens - cached) * self._cost_per_token
        if job.fetched:
            cost = 0.0
        reading = max(now, self._prefill_free) if cost else now
        ready = reading + cost
        if cost:
            self._prefill_free = ready
        job.admitted(cached, reading, ready)

    def released(self, job: Job, outcome: Outcome) -> None:
        """A job ended: its place is free."""
        if outcome is Outcome.COMPLETED:
            self.completed += 1
        elif outcome is Outcome.ABORTED:
            self.aborted += 1
        if not job.running:
            self.waiting.remove(job)
            return
        del self.jobs[job]
        self._said += job.written
        # A job that costs no time ends inside `_admit`: the loop below must not be
        # entered again from there.
        if self._admitting:
            return
        self._admitting = True
        try:
            while self.waiting and len(self.jobs) < self.settings.max_running:
                self._admit(self.waiting.popleft())
        finally:
            self._admitting = False

    def _count_abort(self) -> None:
        self.aborted += 1

    # -- reports ----------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Requests admitted and not ended."""
        return len(self.jobs)

    @property
    def unread(self) -> int:
        """Running requests whose prompt waits for the prompts before it to be read: an engine that
        batches has not scheduled these yet.
        """
        now = self.loop.time()
        return sum(job.reading > now for job in self.jobs)

    @property
    def unread_tokens(self) -> int:
        """Prompt tokens to be read before the prompt of a new request: of running requests less
        what the cache holds, of waiting ones all.
        """
        waiting = sum(job.answer.prompt_tokens for job in self.waiting)
        if not self._cost_per_token:
            return waiting
        backlog = max(0.0, self._prefill_free - self.loop.time())
        return waiting + round(backlog / self._cost_per_token)

    @property
    def used_tokens(self) -> int:
        """Prompt and answer tokens of the running requests whose prompt is being or was read."""
        now = self.loop.time()
        return sum(
            job.answer.prompt_tokens + job.written for job in self.jobs if job.reading <= now
        )

    @property
    def generated_tokens(self) -> int:
        """Tokens said since the start."""
        return self._said + sum(job.written for job in self.jobs)

    @property
    def capacity_tokens(self) -> int:
        """Size of the simulated KV cache."""
        return self.settings.cache_blocks * BLOCK_TOKENS or 1_000_000

    @property
    def usage_share(self) -> float:
        """KV cache in use by running requests, 0..1."""
        return min(1.0, self.used_tokens / self.capacity_tokens)

    def throughput(self) -> float:
        """Generated tokens per second since the last question, at least 100 ms ago."""
        now = self.loop.time()
        passed = now - self._rate_time
        if passed >= 0.1:
            said = self.generated_tokens
            self._rate = (said - self._rate_tokens) / passed
            self._rate_time, self._rate_tokens = now, said
        return round(self._rate, 3)

    def close(self) -> None:
        """Stop pacing; what still runs is never finished."""
        self.wheel.close()
