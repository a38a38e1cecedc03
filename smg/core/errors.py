"""The error tree of the gateway.

An error is raised where it arises, carries a public message and a private cause, and is rendered
once (`smg.wire.errors`). Retry, breaker and metrics read the fields here and nothing else. Codes
and statuses: http-api 4.
"""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(Exception):
    """Start-up cannot go on; `problems` has one line per mistake, each naming its flag."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: list[str] = list(problems)


class GatewayError(Exception):
    """Something a client must be told.

    `message` is public, `cause` is for the log only. `retry_after` is in seconds. `headers` are
    extra response headers, lower-case names. `retryable`: another worker may do better.
    """

    status = 500
    code: str | int = "internal_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | int | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        cause: BaseException | str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        self.param = param
        self.retry_after = retry_after
        self.headers = tuple(headers)
        self.cause = cause

    @property
    def type(self) -> str:
        """The OpenAI error type that goes with the status."""
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"


class RequestError(GatewayError):
    """The client's request is wrong. `code` is `json_parse_error`, or the integer 400 for a broken
    rule.
    """

    status = 400
    code = "invalid_request"


class AuthError(GatewayError):
    """No valid key."""

    status = 401
    code = "invalid_api_key"


class MessagesAuthError(AuthError):
    """The same for a client of the Messages API, whose SDK reads errors in a shape of its own."""


class NotFoundError(GatewayError):
    """Unknown path, model or id."""

    status = 404
    code = "unknown_url"


class AdminError(GatewayError):
    """A call to the worker or control-plane API went wrong; shown as `{"error", "code"}` (http-api
    16.3). Codes are upper case: BAD_REQUEST, WORKER_NOT_FOUND, WORKER_ALREADY_EXISTS, ...
    """

    status = 400
    code = "BAD_REQUEST"


class TokenizerError(GatewayError):
    """A call to the tokenizer routes went wrong; shown as `{"error": {"message", "type"}}`, where
    the type is the code (http-api 4, shape C).
    """

    status = 404
    code = "tokenizer_not_found"


class ParseError(GatewayError):
    """A call to the parser routes went wrong; shown as `{"error", "success": false}` (shape E)."""

    status = 400
    code = "parse_failed"


class NoWorkerError(GatewayError):
    """Workers exist for the model, none can take the request now."""

    status = 503
    code = "no_available_workers"
    retryable = True


class UpstreamError(GatewayError):
    """A worker could not be used; subclasses say how."""

    status = 502
    code = "upstream_error"
    retryable = True


class ConnectFailed(UpstreamError):
    """No connection to the worker, or it broke before any answer byte."""

    code = "call_upstream_connection_failed"


class UpstreamTimeout(UpstreamError):
    """The worker did not answer, or fell silent, within the limit."""

    status = 504
    code = "call_upstream_timeout"


class UpstreamClosed(UpstreamError):
    """The worker closed the connection in the middle of an answer."""

    code = "read_response_body_failed"


class BadReply(UpstreamError):
    """What came from the worker is not an HTTP answer we can pass on."""

    code = "call_upstream_bad_response"


class ReplyTooLarge(UpstreamError):
    """A worker's buffered answer is larger than the limit."""

    code = "upstream_response_too_large"
    retryable = False


class InternalError(GatewayError):
    """Our bug. The message says nothing about it; the cause is logged."""

    def __init__(self, cause: BaseException | str | None = None) -> None:
        super().__init__("Internal error in the gateway", cause=cause)
