"""The route table: which URL exists, who may call it, what it is called in metrics (http-api 1).

Authorisation is data here and is checked on the matched route. Tests compare this table with
docs/reference/routes.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smg.core.errors import GatewayError
from smg.endpoints.console.data import PATH as CONSOLE_DATA
from smg.endpoints.parse import ParseHandlers
from smg.endpoints.profile import Profile
from smg.endpoints.tokenizers import TokenizerHandlers
from smg.endpoints.workers import WorkerHandlers
from smg.server import Auth, Exchange, Response, Route, coroutine_route

Start = Callable[[Exchange], None]
Handler = Callable[[Exchange], Awaitable[Response]]


@dataclass(frozen=True)
class Handlers:
    """Everything the table refers to; built by `smg.app`."""

    inference: Callable[[str, str], Start]
    readiness: Start
    alive: Start
    models: Start
    model: Start
    model_info: Handler
    server_info: Handler
    health_generate: Handler
    engine_metrics: Handler
    flush_cache: Handler
    get_loads: Handler
    response_get: Handler
    response_delete: Handler
    response_cancel: Handler
    response_items: Handler
    tokenize: Start | None = None
    detokenize: Start | None = None
    tokenizers: TokenizerHandlers | None = None
    parse: ParseHandlers | None = None
    console: Start | None = None
    console_data: Handler | None = None
    workers: WorkerHandlers | None = None
    profile: Profile | None = None


#: endpoint of the checkers, our path, the worker's path, prefix of generated request ids
_INFERENCE = (
    ("chat", "/v1/chat/completions", "/v1/chat/completions", b"chatcmpl-"),
    ("completions", "/v1/completions", "/v1/completions", b"cmpl-"),
    ("generate", "/generate", "/generate", b"gnt-"),
    ("embeddings", "/v1/embeddings", "/v1/embeddings", b"req-"),
    ("classify", "/v1/classify", "/v1/classify", b"req-"),
    ("rerank", "/rerank", "/v1/rerank", b"req-"),
    ("v1_rerank", "/v1/rerank", "/v1/rerank", b"req-"),
    ("responses", "/v1/responses", "/v1/responses", b"resp-"),
    ("messages", "/v1/messages", "/v1/messages", b"msg_"),
)

#: known routes that HTTP mode does not serve: 501, so that a client learns the difference from a
#: typo
NOT_IN_HTTP_MODE = (
    ("POST", "/v1/conversations"),
    ("GET", "/v1/conversations/{conversation_id}"),
    ("POST", "/v1/conversations/{conversation_id}"),
    ("DELETE", "/v1/conversations/{conversation_id}"),
    ("GET", "/v1/conversations/{conversation_id}/items"),
    ("POST", "/v1/conversations/{conversation_id}/items"),
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"),
    ("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}"),
)


def build(handlers: Handlers) -> list[Route]:
    """All routes of the main listener in HTTP mode."""
    h = handlers
    routes = [
        Route("GET", "/health", h.alive, probe=True),
        Route("GET", "/liveness", h.alive, probe=True),
        Route("GET", "/readiness", h.readiness, probe=True),
        Route("GET", "/health_generate", coroutine_route(h.health_generate)),
        Route("GET", "/v1/models", h.models),
        Route("GET", "/v1/models/{model_id:rest}", h.model),
        Route("GET", "/get_model_info", coroutine_route(h.model_info)),
        Route("GET", "/model_info", coroutine_route(h.model_info)),
        Route("GET", "/get_server_info", coroutine_route(h.server_info)),
        Route("GET", "/server_info", coroutine_route(h.server_info)),
        # Not public: with keys configured it would leak the topology (http-api 25 #17).
        Route("GET", "/engine_metrics", coroutine_route(h.engine_metrics), Auth.EITHER),
        Route("POST", "/flush_cache", coroutine_route(h.flush_cache), Auth.CONTROL),
        Route("GET", "/get_loads", coroutine_route(h.get_loads), Auth.CONTROL),
    ]
    for endpoint, path, worker_path, prefix in _INFERENCE:
        label = "rerank" if endpoint == "v1_rerank" else endpoint
        start = h.inference(endpoint, worker_path)
        routes.append(Route("POST", path, start, Auth.DATA, label, prefix))
    one = "/v1/responses/{response_id}"
    for method, path, handler in (
        ("GET", one, h.response_get),
        ("DELETE", one, h.response_delete),
        ("POST", one + "/cancel", h.response_cancel),
        ("GET", one + "/input_items", h.response_items),
    ):
        routes.append(Route(method, path, coroutine_route(handler), Auth.DATA, "responses"))
    if h.tokenize is not None and h.detokenize is not None:
        routes.append(Route("POST", "/v1/tokenize", h.tokenize, Auth.DATA))
        routes.append(Route("POST", "/v1/detokenize", h.detokenize, Auth.DATA))
    if h.tokenizers is not None:
        routes += _tokenizer_routes(h.tokenizers)
    if h.parse is not None:
        calls, reasoning = h.parse.function_call, h.parse.reasoning
        routes += [
            Route("POST", "/parse/function_call", coroutine_route(calls), Auth.CONTROL),
            Route("POST", "/parse/reasoning", coroutine_route(reasoning), Auth.CONTROL),
        ]
    if h.console is not None and h.console_data is not None:
        # The page shows nothing by itself: a browser must have it before it can send a key.
        routes.append(Route("GET", "/console", h.console))
        data = coroutine_route(h.console_data)
        routes.append(Route("GET", CONSOLE_DATA, data, Auth.CONTROL))
    if h.workers is not None:
        routes += _worker_routes(h.workers)
    if h.profile is not None:
        routes += [
            Route("POST", "/start_profile", coroutine_route(h.profile.start), Auth.CONTROL),
            Route("POST", "/stop_profile", coroutine_route(h.profile.stop), Auth.CONTROL),
        ]
    for method, path in NOT_IN_HTTP_MODE:
        routes.append(Route(method, path, _not_implemented, Auth.DATA))
    return routes


def _worker_routes(workers: WorkerHandlers) -> list[Route]:
    one = "/workers/{worker_id}"
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/workers", workers.create),
        ("GET", "/workers", workers.listing),
        ("GET", one, workers.show),
        ("PUT", one, workers.replace),
        ("PATCH", one, workers.patch),
        ("DELETE", one, workers.remove),
    )
    return [
        Route(method, path, coroutine_route(handler), Auth.CONTROL)
        for method, path, handler in rows
    ]


def _tokenizer_routes(tokenizers: TokenizerHandlers) -> list[Route]:
    every, one = "/v1/tokenizers", "/v1/tokenizers/{tokenizer_id}"
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", every, tokenizers.create),
        ("GET", every, tokenizers.listing),
        ("GET", one, tokenizers.show),
        ("GET", one + "/status", tokenizers.status),
        ("DELETE", one, tokenizers.remove),
    )
    return [
        Route(method, path, coroutine_route(handler), Auth.CONTROL)
        for method, path, handler in rows
    ]


def _not_implemented(exchange: Exchange) -> None:
    raise GatewayError(
        f"{exchange.route.path} is not served in HTTP mode.", status=501, code="not_implemented"
    )
