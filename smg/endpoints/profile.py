"""`POST /start_profile` and `POST /stop_profile`: the profilers of the engines (http-api 17.4).

The options of a start are passed on as they came: engines have more than we know. Those we know are
checked, so that a mistake is told once and not by every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from smg.core.errors import RequestError
from smg.endpoints.fanout import for_each_address, post, verdict
from smg.protocols import rules
from smg.protocols.body import VALIDATED, parse
from smg.server import Response, json_response
from smg.wire.errors import JSON
from smg.workers.url import normalise

if TYPE_CHECKING:
    from smg.fleet.probe import Fetcher
    from smg.server import Exchange
    from smg.workers import Worker, WorkerRegistry

PROFILE_SECS = 630.0  # an engine writes its traces before it answers


def _strings(value: Any) -> rules.Fault | None:
    if value.__class__ is not list:
        return rules.wrong_type("an array of strings", value)
    for index, item in enumerate(value):
        if item.__class__ is not str:
            return rules.wrong_type("a string", item, f"[{index}]")
    return None


_STOP: dict[str, rules.Rule] = {"url": rules.string}
_START: dict[str, rules.Rule] = {
    **_STOP,
    "output_dir": rules.string,
    "start_step": rules.integer(0),
    "num_steps": rules.integer(1),
    "activities": _strings,
    "with_stack": rules.boolean,
    "record_shapes": rules.boolean,
    "profile_by_stage": rules.boolean,
}


class Profile:
    """The two handlers over one registry; an address is asked once, whatever ranks it has."""

    def __init__(self, registry: WorkerRegistry, fetcher: Fetcher) -> None:
        self._registry = registry
        self._fetcher = fetcher

    async def start(self, exchange: Exchange) -> Response:
        """`POST /start_profile`."""
        options = _options(exchange.body, _START)
        url = options.pop("url", None)
        return await self._ask("Started", "/start_profile", url, _dumped(options))

    async def stop(self, exchange: Exchange) -> Response:
        """`POST /stop_profile`."""
        options = _options(exchange.body, _STOP)
        return await self._ask("Stopped", "/stop_profile", options.get("url"), b"")

    async def _ask(self, done_what: str, path: str, url: str | None, body: bytes) -> Response:
        workers = self._targets(url)
        if not workers:
            return _answer("error", "No worker matches", [], [], 404)

        async def ask(worker: Worker) -> str | None:
            if worker.connection_mode != "http":
                return f"a {worker.connection_mode} worker cannot be profiled through the gateway"
            return await post(self._fetcher, worker, path, body, timeout=PROFILE_SECS)

        done, failed = verdict(workers, await for_each_address(workers, ask))
        message = f"{done_what} profiling on {len(done)} of {len(workers)} workers"
        if failed:
            return _answer("partial_success", message, done, failed, 206)
        return _answer("success", message, done, failed, 200)

    def _targets(self, url: str | None) -> list[Worker]:
        """The worker with this URL, all ranks behind it if it has no rank; all workers for None."""
        workers = self._registry.all()
        if url is None:
            return list(workers)
        try:
            wanted = normalise(url)
        except ValueError:
            return []
        return [worker for worker in workers if wanted in (worker.url, worker.base_url)]


def _options(raw: bytes, checks: Mapping[str, rules.Rule]) -> dict[str, Any]:
    """The options given; no body is none. RequestError."""
    if not raw or raw.isspace():
        return {}
    data = parse(raw, JSON, VALIDATED)  # whatever the content type says
    faults = rules.field_faults(checks, data)
    if faults:
        raise rules.refuse(faults, VALIDATED)
    return data


def _dumped(options: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(options)
    except orjson.JSONEncodeError:
        raise RequestError("The options are nested too deep", code=400) from None


def _answer(
    status: str,
    message: str,
    done: list[str],
    failed: list[dict[str, str]],
    code: int,
) -> Response:
    body: dict[str, Any] = {
        "status": status,
        "message": message,
        "workers_profiled": len(done),
        "total_workers": len(done) + len(failed),
    }
    if failed:
        body["successful"] = done
        body["failed"] = failed
    return json_response(body, code)
