"""How an error becomes an HTTP answer: the one place (shape A of http-api 4 for every route, the
shorter shapes of the worker, tokenizer and parser APIs, and Anthropic's for a missing key on
`/v1/messages`).
"""

from __future__ import annotations

import orjson

from smg.core.errors import (
    AdminError,
    GatewayError,
    MessagesAuthError,
    ParseError,
    TokenizerError,
)

JSON = b"application/json"


def error_body(error: GatewayError) -> bytes:
    """The OpenAI error object; the private cause is never part of it."""
    if isinstance(error, AdminError):
        return orjson.dumps({"error": error.message, "code": error.code})
    if isinstance(error, TokenizerError):
        return orjson.dumps({"error": {"message": error.message, "type": error.code}})
    if isinstance(error, ParseError):
        return orjson.dumps({"error": error.message, "success": False})
    if isinstance(error, MessagesAuthError):
        inner = {"type": "authentication_error", "message": error.message}
        return orjson.dumps({"type": "error", "error": inner})
    return orjson.dumps(
        {
            "error": {
                "type": error.type,
                "code": error.code,
                "message": error.message,
                "param": error.param,
            }
        }
    )


def error_headers(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Response headers that go with the error, content type not included."""
    headers = [(b"x-smg-error-code", str(error.code).encode("latin-1", "replace"))]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    headers.extend(error.headers)
    return headers


def stream_error_frame(code: str, message: str, *, endpoint: str = "chat") -> bytes:
    """SSE bytes that end a stream after its head went out (http-api 20).

    Chat-like streams get an error frame and `[DONE]`; Messages an `error` event without `[DONE]`;
    a relayed Responses stream an `error` event and `[DONE]`.
    """
    if endpoint == "messages":
        body = orjson.dumps({"type": "error", "error": {"type": "api_error", "message": message}})
        return b"event: error\ndata: " + body + b"\n\n"
    if endpoint == "responses":
        body = orjson.dumps({"type": "error", "code": code, "message": message, "param": None})
        return b"event: error\ndata: " + body + b"\n\ndata: [DONE]\n\n"
    body = orjson.dumps({"error": {"message": message, "type": "server_error", "code": code}})
    return b"data: " + body + b"\n\ndata: [DONE]\n\n"
