"""vLLM: prefill answers first, with what decode needs to find the KV cache; then decode is asked.

Three ways to find it, by the connector of the prefill worker: NIXL returns `kv_transfer_params` for
a prefill that was told to keep its cache, Mooncake finds it under a name that we choose, any other
connector gets what prefill returned, as it is. Rules: routing-reliability 23.3.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from smg.backends.http.pd import faults, inject
from smg.backends.http.pd.pair import PairRelay
from smg.core import ids
from smg.reliability.breaker import NOTHING

if TYPE_CHECKING:
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.pd.kept import Request
    from smg.backends.http.pd.leg import PrefillLeg
    from smg.core.errors import UpstreamError
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.workers.model import Worker

NIXL, MOONCAKE, PASSTHROUGH = "nixl", "mooncake", "passthrough"
#: where Mooncake's prefill listens when nobody says
MOONCAKE_PORT = 8998


class SequentialRelay(PairRelay):
    """See the module. With `n` above 1 decode does all of it: vLLM hands over one sequence only.
    So it does when there is nothing to decode (rerank).
    """

    def __init__(
        self, backend: PairBackend, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self._connector = PASSTHROUGH
        self._transfer = ""  # name of what Mooncake keeps
        self._engine: str | None = None  # that keeps it
        self._unclaimed = False  # prefill keeps something, or may

    def _wants_prefill(self) -> bool:
        count = self.body.data.get("n")
        return self.endpoint != "rerank" and not (type(count) is int and count > 1)

    def _begin(self) -> None:
        leg = self._leg
        if leg is None:
            self._decode_raw = self._decode_body(None)
            self._open_decode()
            return
        prefill = leg.worker
        self._connector = connector_of(prefill)
        if self._pairs is not None:
            self._pairs.mode(self._connector)
        tag: bytes | None = None
        if self._connector == NIXL:
            tag = inject.nixl_tag()
        elif self._connector == MOONCAKE:
            self._engine = engine_of(prefill)
            if self._engine is None:
                self.backend.warn_once(
                    prefill, "its kv_engine_id is not known: decode computes every prompt again"
                )
            else:
                self._transfer = f"xfer-{ids.uuid7()}"
                tag = inject.mooncake_tag(self._transfer)
        self._unclaimed = tag is not None
        raw = inject.prefill_only(self.endpoint, self.body, tag, prefill.dp_rank)
        leg.send(raw, self.exchange.conn.settings.max_payload_size)

    # -- prefill ----------------------------------------------------------------------------------

    def prefill_done(self, leg: PrefillLeg) -> None:
        """Ask decode."""
        super().prefill_done(leg)
        if not leg.answered:
            return
        done = perf_counter()
        try:
            self._decode_raw = self._decode_body(leg)
        except ValueError as cause:
            self._unreadable(leg, faults.unreadable_prefill(cause))
            return
        self.exchange.waited += done - leg.sent_at  # for an engine: no overhead of ours
        self._open_decode()
        if self._pairs is not None:
            self._pairs.transfer_duration.observe(perf_counter() - done)

    def prefill_failed(self, leg: PrefillLeg, error: UpstreamError) -> None:
        """No answer, or half of one, which is none either."""
        if leg.answered:
            self._unreadable(leg, faults.unreadable_prefill(error.cause or error.message))
        else:
            super().prefill_failed(leg, error)

    def _unreadable(self, leg: PrefillLeg, error: UpstreamError) -> None:
        self._tell_breaker(NOTHING)  # decode's: it was not asked
        if not self._blamed(leg.worker, error.status, str(error.code)):
            self._fail(error)

    def _prefill_error(self, status: int, body: bytes | None, asked: float) -> UpstreamError:
        return faults.prefill_refused(status, body, asked)

    # -- decode -----------------------------------------------------------------------------------

    def _decode_body(self, leg: PrefillLeg | None) -> bytes:
        """What decode is sent. ValueError if prefill's answer cannot be read."""
        worker = self._worker
        rank = -1 if worker is None else worker.dp_rank
        params: bytes | None = None
        if leg is not None:
            params = self._params(leg)
            self._unclaimed = params is not None
        return inject.decode_with(self.body, params, rank)

    def _params(self, leg: PrefillLeg) -> bytes | None:
        answer = leg.body
        if answer is None:
            raise ValueError("larger than the limit")
        prefill = leg.worker
        if self._connector == MOONCAKE:
            if self._engine is None:
                return None
            port = prefill.spec.bootstrap_port or MOONCAKE_PORT
            return inject.mooncake_params(self._transfer, self._engine, prefill.host, port)
        params = inject.returned_params(answer)
        if params is None and self._connector == NIXL:
            if self._pairs is not None:
                self._pairs.transfer_failures.inc()
            self.backend.warn_once(
                prefill, "it returned no kv_transfer_params: decode computes the prompt again"
            )
        return params

    # -- a client that leaves ---------------------------------------------------------------------

    def _is_worth_keeping(self) -> bool:
        return self._unclaimed and self._connector != PASSTHROUGH

    def _later(self, worker: Worker) -> Callable[[PrefillLeg], Request | None]:
        rank = worker.dp_rank

        def request(leg: PrefillLeg) -> Request | None:
            try:
                params = self._params(leg)
            except ValueError:
                return None
            if params is None:
                return None  # nothing is kept for anybody
            self._decode_raw = inject.decode_with(self.body, params, rank)
            return self._request(worker)

        return request


def connector_of(worker: Worker) -> str:
    """How a prefill worker hands its KV cache over."""
    name = (worker.spec.kv_connector or worker.labels.get("kv_connector", "")).lower()
    if NIXL in name:
        return NIXL
    return MOONCAKE if MOONCAKE in name else PASSTHROUGH


def engine_of(worker: Worker) -> str | None:
    """The id under which other engines find a prefill worker's."""
    base = worker.spec.kv_engine_id or worker.labels.get("kv_engine_id")
    if base and worker.dp_rank >= 0 and (worker.spec.dp_size or 0) > 1:
        return f"{base}_dp{worker.dp_rank}"
    return base
