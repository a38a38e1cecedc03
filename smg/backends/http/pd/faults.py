"""What a client is told when a leg fails: which one it was, and what its worker said.

Codes: routing-reliability 23.1 and 23.3, http-api 4.1; `rate_limited` is ours.
"""

from __future__ import annotations

from math import ceil

import orjson

from smg.core.errors import UpstreamError, UpstreamTimeout
from smg.reliability.retry_after import NEVER

_WORDS = {
    400: "bad_request",
    404: "not_found",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "unavailable",
}
#: characters of a worker's message that are passed on
_LONGEST = 4096


def named(leg: str, error: UpstreamError) -> UpstreamError:
    """An error of the connection to a worker, with the leg in code and message."""
    error.code = f"{leg}_request_failed"
    error.message = error.message.replace("the worker", f"the {leg} worker").replace(
        "The worker", f"The {leg} worker"
    )
    return error


def late(leg: str) -> UpstreamTimeout:
    """A worker that took its time."""
    code = f"{leg}_request_failed"
    return UpstreamTimeout(f"The {leg} worker did not answer in time.", code=code)


def refused(leg: str, status: int, body: bytes | None, asked: float = 0.0) -> UpstreamError:
    """A worker's error answer; `body` None if it could not be read. `asked` is its `Retry-After` in
    seconds, 0 without one: the client had better know.
    """
    word = _WORDS.get(status)
    if body is None:
        code, text = f"{leg}_read_failed", "its message could not be read"
    else:
        code, text = f"{leg}_{word or 'error'}", message_of(body)
    if leg == "prefill":
        text = f"Prefill server error ({status}): {text}"
    after = ceil(asked) if 0 < asked < NEVER else None
    return UpstreamError(text, status=status if word else 500, code=code, retry_after=after)


def prefill_refused(status: int, body: bytes | None, asked: float = 0.0) -> UpstreamError:
    """The same of a vLLM prefill: its own status, one code."""
    error = refused("prefill", status, body, asked)
    error.status, error.code = status, "prefill_upstream_error"
    return error


def unreadable_prefill(cause: BaseException | str | None) -> UpstreamError:
    """A vLLM prefill's answer is needed to go on."""
    message = "The prefill worker's answer could not be read."
    return UpstreamError(message, code="prefill_read_failed", cause=cause)


def message_of(body: bytes) -> str:
    """What a worker's error body says: `error.message`, `message`, or its text."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    if isinstance(data, dict):
        inner = data.get("error")
        for holder in (inner, data):
            message = holder.get("message") if isinstance(holder, dict) else None
            if isinstance(message, str) and message:
                return message[:_LONGEST]
    return body.decode("utf-8", "replace")[:_LONGEST]
