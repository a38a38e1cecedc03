"""The bytes that clients, workers and checks agree on."""

from __future__ import annotations

import json
import re

MODEL = "perf-model"
SMALL_BODY = 230
STREAM_CHUNKS = 33  # 32 pieces of text and [DONE]
EVENT = b"data: "
DONE = b"[DONE]"

# What a worker is asked to do travels in the prompt: gateways may rewrite every other field.
ORDER = re.compile(rb"chunks=(\d+) pace=(\d+)")

_WORDS = "The quick brown fox said 'no' and jumped over 13 lazy dogs, twice.\n"
_MESSAGE_CHARS = 4000  # a long conversation is many messages, not one


def chat_body(
    size: int = SMALL_BODY, *, stream: bool = False, chunks: int = STREAM_CHUNKS, pace_ms: int = 0
) -> bytes:
    """A chat completion request of exactly `size` bytes, or of the least possible size."""
    order = f"chunks={chunks} pace={pace_ms} "
    messages = [{"role": "user", "content": order}]
    body = {
        "model": MODEL,
        "messages": messages,
        "stream": stream,
        "max_tokens": chunks,
        "temperature": 0.7,
    }

    def encoded() -> bytes:
        return json.dumps(body, separators=(",", ":")).encode()

    missing = size - len(encoded())
    while missing > 2 * _MESSAGE_CHARS:
        text = (_WORDS * (_MESSAGE_CHARS // len(_WORDS)))[:_MESSAGE_CHARS]
        role = "assistant" if len(messages) % 2 else "user"
        added = {"role": role, "content": text}
        messages.append(added)
        missing -= len(json.dumps(added, separators=(",", ":"))) + 1
    if missing > 0:
        messages[0]["content"] += "x" * missing
    return encoded()


def request(body: bytes, host: str, port: int, path: str = "/v1/chat/completions") -> bytes:
    """Head and body as an OpenAI client sends them."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\nUser-Agent: perf/1\r\nAuthorization: Bearer perf\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def chat_answer(worker: str) -> bytes:
    """The body of an unstreamed answer; `worker` tells the harness who answered."""
    return json.dumps(
        {
            "id": "chatcmpl-0123456789abcdef",
            "object": "chat.completion",
            "created": 1700000000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello there."},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16},
            "system_fingerprint": worker,
        },
        separators=(",", ":"),
    ).encode()


def chunk_event(text: str = " token") -> bytes:
    """One SSE event with one token, in the shape engines send."""
    data = json.dumps(
        {
            "id": "chatcmpl-0123456789abcdef",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": MODEL,
            "choices": [
                {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
            ],
        },
        separators=(",", ":"),
    )
    return EVENT + data.encode() + b"\n\n"


def framed(data: bytes) -> bytes:
    """One chunk of chunked transfer encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)
