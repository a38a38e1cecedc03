"""How errors become answers and frames (http-api 4 and 20)."""

from __future__ import annotations

import orjson
import pytest

from smg.core import errors
from smg.core.errors import GatewayError
from smg.wire.errors import error_body, error_headers, stream_error_frame


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retryable"),
    [
        (GatewayError("m"), 500, "server_error", "internal_error", False),
        (errors.RequestError("m"), 400, "invalid_request_error", "invalid_request", False),
        (errors.RequestError("m", code=400), 400, "invalid_request_error", 400, False),
        (errors.AuthError("m"), 401, "invalid_request_error", "invalid_api_key", False),
        (errors.NotFoundError("m"), 404, "invalid_request_error", "unknown_url", False),
        (GatewayError("m", status=429), 429, "rate_limit_error", "internal_error", False),
        (GatewayError("m", status=499), 499, "invalid_request_error", "internal_error", False),
        (errors.NoWorkerError("m"), 503, "server_error", "no_available_workers", True),
        (errors.UpstreamError("m"), 502, "server_error", "upstream_error", True),
        (errors.ConnectFailed("m"), 502, "server_error", "call_upstream_connection_failed", True),
        (errors.UpstreamTimeout("m"), 504, "server_error", "call_upstream_timeout", True),
        (errors.UpstreamClosed("m"), 502, "server_error", "read_response_body_failed", True),
        (errors.BadReply("m"), 502, "server_error", "call_upstream_bad_response", True),
        (errors.ReplyTooLarge("m"), 502, "server_error", "upstream_response_too_large", False),
    ],
)
def test_every_error_of_the_tree(error, status, kind, code, retryable):
    assert (error.status, error.retryable) == (status, retryable)
    assert orjson.loads(error_body(error)) == {
        "error": {"type": kind, "code": code, "message": "m", "param": None}
    }
    assert error_headers(error) == [(b"x-smg-error-code", str(code).encode())]


def test_headers_and_parameter():
    error = GatewayError(
        "m", param="temperature", retry_after=10, headers=[(b"allow", b"GET"), (b"a", b"b")]
    )
    assert error_headers(error) == [
        (b"x-smg-error-code", b"internal_error"),
        (b"retry-after", b"10"),
        (b"allow", b"GET"),
        (b"a", b"b"),
    ]
    assert orjson.loads(error_body(error))["error"]["param"] == "temperature"
    assert (b"retry-after", b"0") in error_headers(GatewayError("m", retry_after=0))


def test_the_key_of_a_messages_client():
    error = errors.MessagesAuthError("m", cause="secret")
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert orjson.loads(error_body(error)) == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "m"},
    }
    assert error_headers(error) == [(b"x-smg-error-code", b"invalid_api_key")]


@pytest.mark.parametrize(
    "error",
    [
        errors.InternalError(ValueError("secret")),
        errors.InternalError("secret"),
        GatewayError("public", cause="secret"),
        errors.ConnectFailed("public", cause=OSError("secret")),
    ],
)
def test_the_cause_is_never_rendered(error):
    assert b"secret" not in error_body(error)
    assert all(b"secret" not in value for _, value in error_headers(error))
    assert error.cause is not None


def test_text_of_clients_is_escaped():
    message = 'no "model"\r\n\n</script>\x00ä\U0001f600'
    assert orjson.loads(error_body(GatewayError(message)))["error"]["message"] == message
    assert b"\n" not in error_body(GatewayError(message))


def test_overriding_an_instance_leaves_the_class_alone():
    errors.AuthError("m", status=403, code="forbidden")
    assert (errors.AuthError.status, errors.AuthError.code) == (401, "invalid_api_key")


def test_config_error_keeps_its_problems():
    error = errors.ConfigError(["--a: wrong", "--b: wrong"])
    assert error.problems == ["--a: wrong", "--b: wrong"]
    assert str(error) == "--a: wrong; --b: wrong"


def frames(wire: bytes) -> list[tuple[bytes | None, object]]:
    assert wire.endswith(b"\n\n")
    found = []
    for frame in wire[:-2].split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
        data = fields[b"data"]
        found.append((fields.get(b"event"), "DONE" if data == b"[DONE]" else orjson.loads(data)))
    return found


@pytest.mark.parametrize("endpoint", ["chat", "completions", "generate", "anything"])
def test_the_frame_of_chat_like_streams(endpoint):
    error = {"message": "m\n\nn", "type": "server_error", "code": "upstream_stream_cut"}
    wire = stream_error_frame("upstream_stream_cut", "m\n\nn", endpoint=endpoint)
    assert frames(wire) == [(None, {"error": error}), (None, "DONE")]
    assert wire == stream_error_frame("upstream_stream_cut", "m\n\nn")


def test_the_frame_of_messages_has_no_end_mark():
    error = {"type": "error", "error": {"type": "api_error", "message": "m"}}
    assert frames(stream_error_frame("c", "m", endpoint="messages")) == [(b"error", error)]


def test_the_frame_of_responses():
    error = {"type": "error", "code": "c", "message": "m", "param": None}
    assert frames(stream_error_frame("c", "m", endpoint="responses")) == [
        (b"error", error),
        (None, "DONE"),
    ]
