"""One side of a prefill/decode pair: what SGLang and vLLM ask of a request, and what they keep.

Rules of the engines: routing-reliability 23. What decode says is what a whole worker would say; the
answer of prefill is that of one token.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from smg.core.errors import GatewayError
from smg.core.tasks import TaskGroupOwner
from smg.sim import prompts
from smg.sim.answers import STREAM_HEADERS
from smg.sim.engine import Engine, Planner
from smg.sim.generate import GenerateAnswer
from smg.sim.job import Job, Outcome
from smg.sim.kv import Holding, KvStore, TransferError, take

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.sim.answers import Answer
    from smg.sim.faults import Fault
    from smg.sim.settings import SimSettings

BLOCK_TOKENS = 16
DEFAULT_PORT = 8998
_JSON_HEADERS = ((b"content-type", b"application/json"),)
_ONE_TOKEN = {"max_tokens": 1, "max_completion_tokens": 1, "max_output_tokens": 1}
_CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class PairEngine(Engine):
    """An engine with a role. `kv` is what it keeps for others; of decode workers always empty."""

    def __init__(self, settings: SimSettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(settings, loop)
        self.engine_id = f"sim-{os.urandom(4).hex()}"
        self.tasks = TaskGroupOwner("sim")
        self.kv = KvStore(
            loop, self.wheel, settings.kv_timeout_secs, settings.kv_transfer_ms / 1000
        )
        self._next_block = 1
        self._sglang = settings.engine == "sglang"

    async def open(self, host: str) -> None:
        """Listen for decode workers; raises OSError."""
        if self.settings.role == "prefill":
            await self.kv.listen(host, self.settings.bootstrap_port)

    def close(self) -> None:
        """Stop."""
        super().close()
        self.kv.close()

    def _generate(
        self, exchange: Exchange, planner: Planner, data: dict[str, Any], fault: Fault | None
    ) -> None:
        if self.settings.role == "prefill":
            prefill = self._sglang_prefill if self._sglang else self._vllm_prefill
            prefill(exchange, planner, data, fault)
            return
        keys = _rooms(data) if self._sglang else _transfer(data)
        answer = self._plan(planner, data)
        if not keys:
            self._start(exchange, answer, fault)
            return
        if isinstance(answer, GenerateAnswer):
            answer.leave_out_prompt()
        Fetching(self, exchange, answer, fault, keys)

    # -- SGLang -----------------------------------------------------------------------------------

    def _sglang_prefill(
        self, exchange: Exchange, planner: Planner, data: dict[str, Any], fault: Fault | None
    ) -> None:
        rooms = _rooms(data)
        params = data.get("sampling_params")
        if isinstance(params, dict) or params is None:
            data = {**data, "sampling_params": {**(params or {}), "max_new_tokens": 1}}
        answer = self._plan(planner, {**data, **_ONE_TOKEN})
        job = RoomJob(self, exchange, answer, fault)
        job.reserve([key for _, _, key in rooms])
        self._enqueue(exchange, job)

    # -- vLLM -------------------------------------------------------------------------------------

    def _vllm_prefill(
        self, exchange: Exchange, planner: Planner, data: dict[str, Any], fault: Fault | None
    ) -> None:
        params = data.get("kv_transfer_params")
        if params is None:
            self._start(exchange, self._plan(planner, data), fault)
            return
        if type(params) is not dict or params.get("do_remote_decode") is not True:
            raise prompts.reject("a prefill worker must be told do_remote_decode")
        if data.get("stream") or not any(data.get(name) == 1 for name in _CAPS):
            raise prompts.reject("a prefill must not stream, and say one token")
        if data.get("n") not in (None, 1):
            raise prompts.reject("a prefill hands over one sequence")
        answer = self._plan(planner, data)
        blocks = _blocks(answer)
        first, self._next_block = self._next_block, self._next_block + blocks
        transfer = params.get("transfer_id")
        if transfer is None:
            returned: dict[str, Any] | None = {
                "do_remote_prefill": True,
                "do_remote_decode": False,
                "remote_engine_id": self.engine_id,
                "remote_block_ids": list(range(first, first + blocks)),
                "remote_host": self.settings.host,
                "remote_port": self.kv.port,
            }
            key = f"{self.engine_id}/{first}"
        else:
            returned, key = None, f"{self.settings.kv_engine_id}/{transfer}"
        self._enqueue(exchange, HandoverJob(self, exchange, answer, key, returned))


class RoomJob(Job):
    """SGLang's prefill: its head comes when the blocks are there, its end when decode has them."""

    __slots__ = ("_fault", "_holdings", "_left")

    def __init__(
        self, engine: PairEngine, exchange: Exchange, answer: Answer, fault: Fault | None
    ) -> None:
        super().__init__(engine, exchange, answer)
        self._fault = fault
        self._holdings: list[Holding] = []
        self._left = 0

    @property
    def _kv(self) -> KvStore:
        engine = self._engine
        assert isinstance(engine, PairEngine)
        return engine.kv

    def reserve(self, keys: list[str]) -> None:
        """Blocks for every room."""
        self._left = len(keys)
        share = -(-_blocks(self.answer) // len(keys))
        self._holdings = [self._kv.reserve(key, share, self._taken) for key in keys]

    def fire(self, now: float) -> None:
        """The prompt was read."""
        if self.ended or self._begun:
            return
        self._begun = True
        exchange = self._exchange
        exchange.start(200, STREAM_HEADERS if self.answer.stream else _JSON_HEADERS)
        if self._fault is not None:
            exchange.conn.transport.close()  # whichever of the faults in an answer it is
            self.client_gone()
            return
        for holding in self._holdings:
            self._kv.commit(holding)

    def _taken(self, ok: bool) -> None:
        self._left -= 1
        if self.ended or not self._begun:
            return
        exchange = self._exchange
        if not ok:
            self._end(Outcome.ABORTED)
            exchange.conn.transport.close()
        elif not self._left:
            answer = self.answer
            frames = answer.frames(self._cached) if answer.stream else [answer.body(self._cached)]
            self._place = answer.completion_tokens
            self._end()
            exchange.write(b"".join(frames))
            exchange.finish()

    def client_gone(self) -> None:
        """Aborted: what is not committed is free again."""
        super().client_gone()
        for holding in self._holdings:
            self._kv.abort(holding)


class HandoverJob(Job):
    """vLLM's prefill: its answer says where the blocks are, if decode does not know."""

    __slots__ = ("_holding", "_returned")

    def __init__(
        self,
        engine: PairEngine,
        exchange: Exchange,
        answer: Answer,
        key: str,
        returned: dict[str, Any] | None,
    ) -> None:
        super().__init__(engine, exchange, answer)
        self._holding = engine.kv.reserve(key, _blocks(answer), lambda ok: None)
        self._returned = returned

    def _respond(self) -> None:
        engine, answer = self._engine, self.answer
        assert isinstance(engine, PairEngine)
        body = answer.body(self._cached)
        if self._returned is not None:
            body = body[:-1] + b',"kv_transfer_params":' + orjson.dumps(self._returned) + b"}"
        self._place = answer.completion_tokens
        self._end()
        engine.kv.commit(self._holding)
        self._exchange.respond(200, body)

    def client_gone(self) -> None:
        """Aborted before its answer: the blocks are free."""
        super().client_gone()
        engine = self._engine
        assert isinstance(engine, PairEngine)
        engine.kv.abort(self._holding)


class Fetching:
    """A decode request that waits for its blocks; then it is a job as any other."""

    def __init__(
        self,
        engine: PairEngine,
        exchange: Exchange,
        answer: Answer,
        fault: Fault | None,
        keys: list[tuple[str, int, str]],
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._go_on: Callable[[], None] = partial(
            engine._start, exchange, answer, fault, fetched=True
        )
        exchange.consumer = self
        self._task = engine.tasks.start(self._fetch(keys), "fetch")

    async def _fetch(self, keys: list[tuple[str, int, str]]) -> None:
        limit = self._engine.settings.kv_timeout_secs
        exchange = self._exchange
        try:
            await asyncio.gather(*(take(host, port, key, limit) for host, port, key in keys))
        except TransferError as error:
            exchange.fail(GatewayError(str(error), code="kv_transfer_failed"))
            return
        exchange.consumer = None
        self._go_on()

    def client_gone(self) -> None:
        """The client left: ask no more."""
        self._engine.aborted += 1
        self._task.cancel()

    def pause(self) -> None:
        """Nothing is said yet."""

    def resume(self) -> None:
        """Nothing is said yet."""


def _rooms(data: dict[str, Any]) -> list[tuple[str, int, str]]:
    """SGLang: host, port and key of every room."""
    room = data.get("bootstrap_room")
    if room is None:
        raise prompts.reject("bootstrap_room is missing: this engine is half of a pair")
    host, port = data.get("bootstrap_host"), data.get("bootstrap_port")
    if not isinstance(room, list):
        return [_room(host, port, room)]
    if not isinstance(host, list) or not isinstance(port, list):
        raise prompts.reject("bootstrap_host and bootstrap_port must be arrays as well")
    return [_room(*each) for each in zip(host, port, room, strict=True)]


def _room(host: Any, port: Any, room: Any) -> tuple[str, int, str]:
    if type(host) is not str or type(room) is not int or not 0 <= room < 1 << 63:
        raise prompts.reject("bootstrap_host or bootstrap_room is wrong")
    return host, DEFAULT_PORT if port is None else port, str(room)


def _transfer(data: dict[str, Any]) -> list[tuple[str, int, str]]:
    """vLLM: host, port and key of the blocks; none: the prompt is read again."""
    params = data.get("kv_transfer_params")
    if params is None:
        return []
    if type(params) is not dict or params.get("do_remote_prefill") is not True:
        raise prompts.reject("a decode worker must be told do_remote_prefill")
    engine = params.get("remote_engine_id")
    if transfer := params.get("transfer_id"):
        address = urlsplit(str(params.get("remote_bootstrap_addr")))
        return [(address.hostname or "", address.port or DEFAULT_PORT, f"{engine}/{transfer}")]
    blocks = params.get("remote_block_ids")
    if not isinstance(blocks, list) or not blocks:
        raise prompts.reject("remote_block_ids are missing")
    return [(str(params.get("remote_host")), int(params["remote_port"]), f"{engine}/{blocks[0]}")]


def _blocks(answer: Answer) -> int:
    return -(-answer.prompt_tokens // BLOCK_TOKENS)
