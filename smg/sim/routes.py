"""The route table of the simulated engine, and its admin calls under `/sim`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from smg.server import Exchange, Route
from smg.sim import info, prompts, vectors
from smg.sim.chat import ChatAnswer
from smg.sim.completions import CompletionAnswer
from smg.sim.faults import FaultError, parse
from smg.sim.generate import GenerateAnswer
from smg.sim.messages import MessageAnswer
from smg.sim.misbehaviour import strike_body
from smg.sim.pairs import PairEngine
from smg.sim.responses import ResponseAnswer
from smg.sim.settings import SimSettings

if TYPE_CHECKING:
    from smg.sim.engine import Engine
    from smg.sim.faults import Fault

GENERATION = {
    "/v1/chat/completions": ChatAnswer,
    "/v1/completions": CompletionAnswer,
    "/generate": GenerateAnswer,
    "/v1/responses": ResponseAnswer,
    "/v1/messages": MessageAnswer,
}

Compute = Callable[[dict[str, Any], SimSettings, str], bytes]

VECTORS: dict[str, Compute] = {
    "/v1/embeddings": vectors.embeddings,
    "/v1/rerank": vectors.rerank,
    "/v1/classify": vectors.classify,
}

REPORTS: dict[str, info.Report] = {
    "/health": lambda engine: "OK",
    "/health_generate": lambda engine: "OK",
    "/v1/models": info.models,
    "/get_model_info": info.model_info,
    "/model_info": info.model_info,
    "/get_server_info": info.server_info,
    "/server_info": info.server_info,
    "/v1/loads": info.loads,
    "/metrics": info.metrics,
}

# What a worker lacks (404) under a setting of `load_reports`.
WITHOUT = {"all": (), "metrics": ("/v1/loads",), "none": ("/v1/loads", "/metrics")}


def routes(engine: Engine) -> list[Route]:
    """Every route of one worker."""
    table = [
        Route("POST", path, engine.generation(path, plan)) for path, plan in GENERATION.items()
    ]
    table += [
        Route("POST", path, _vector_route(engine, path, compute))
        for path, compute in VECTORS.items()
    ]
    table += [
        Route("GET", path, info.info_route(engine, path, report), probe=True)
        for path, report in REPORTS.items()
        if path not in WITHOUT[engine.settings.load_reports]
    ]
    flush = info.info_route(engine, "/flush_cache", _flush)
    table += [Route("POST", "/flush_cache", flush), Route("GET", "/flush_cache", flush)]
    # The admin calls never misbehave: a test must be able to end a fault.
    table.append(Route("GET", "/sim/state", lambda exchange: _json(exchange, info.state(engine))))
    if isinstance(engine, PairEngine):
        kv = engine.kv
        table.append(Route("GET", "/sim/kv", lambda exchange: _json(exchange, kv.report())))
    table.append(Route("GET", "/sim/faults", lambda exchange: _json(exchange, _faults(engine))))
    table.append(Route("POST", "/sim/faults", lambda exchange: _arm(engine, exchange)))
    table.append(Route("DELETE", "/sim/faults", lambda exchange: _disarm(engine, exchange)))
    return table


def _json(exchange: Exchange, value: Any) -> None:
    exchange.respond(200, orjson.dumps(value))


def _flush(engine: Engine) -> str:
    engine.cache.clear()
    return "Cache flushed.\n"


def _vector_route(engine: Engine, path: str, compute: Compute) -> Callable[[Exchange], None]:
    def begin(exchange: Exchange, fault: Fault | None) -> None:
        def answer(data: dict[str, Any]) -> None:
            body = compute(data, engine.settings, engine.model_of(data))
            engine.completed += 1
            if fault is None:
                exchange.respond(200, body)
            else:
                strike_body(exchange, fault, body, engine.wheel, lambda: None)

        engine.enter(exchange, path, answer)

    def start(exchange: Exchange) -> None:
        fault = engine.fault_for(exchange, path, anywhere=True)
        if fault is not None and not fault.in_body:
            engine.strike(exchange, fault, lambda: begin(exchange, None))
        else:
            begin(exchange, fault)

    return start


def _faults(engine: Engine) -> dict[str, Any]:
    return {"faults": [fault.spec for fault in engine.faults.faults]}


def _arm(engine: Engine, exchange: Exchange) -> None:
    """`{"fault": SPEC}` adds one, `{"faults": [SPEC, ...]}` replaces all."""
    try:
        data = orjson.loads(exchange.body)
    except orjson.JSONDecodeError as error:
        raise prompts.reject(f"invalid JSON: {error}") from None
    if not isinstance(data, dict):
        raise prompts.reject("the body must be a JSON object")
    added, replaced = data.get("fault"), data.get("faults")
    specs = [added] if added is not None else replaced
    if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
        raise prompts.reject("give fault (a string) or faults (an array of strings)", "faults")
    try:
        faults = [parse(spec) for spec in specs]
    except FaultError as error:
        raise prompts.reject(str(error), "faults") from None
    engine.faults.faults = faults if added is None else [*engine.faults.faults, *faults]
    _json(exchange, _faults(engine))


def _disarm(engine: Engine, exchange: Exchange) -> None:
    engine.faults.clear()
    _json(exchange, _faults(engine))
