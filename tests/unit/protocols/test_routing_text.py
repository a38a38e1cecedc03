"""Routing text, tokens and sticky keys (routing-reliability 3; http-api 5.3, 24 row 27)."""

from __future__ import annotations

from typing import Any

import pytest

from smg.protocols.routing_text import header_tokens, routing_key, text, tokens

CHAT = [
    {"role": "system", "content": "a"},
    {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image_url"}, "c"]},
    {"role": "assistant", "reasoning_content": "e", "content": "d", "tool_calls": []},
    {"role": "user", "content": ""},
    {"role": "tool", "content": [{"type": "text", "text": ""}]},
    {"role": "assistant", "content": None},
    {"role": "user", "content": "f"},
]


@pytest.mark.parametrize(
    ("endpoint", "data", "expected"),
    [
        ("chat", {"messages": CHAT}, "a b c d e f"),
        ("completions", {"prompt": "a b"}, "a b"),
        ("completions", {"prompt": ["a", "", "b"]}, "a b"),
        ("completions", {"prompt": [1, 2]}, "1 2"),
        ("generate", {"text": "a", "input_ids": [1]}, "a"),
        ("generate", {"text": ["a", "b"]}, "a b"),
        ("generate", {"input_ids": [1, 2]}, "1 2"),
        ("generate", {"input_ids": [[1, 2], [3]]}, "1 2"),
        ("generate", {}, ""),
        ("embeddings", {"input": "a"}, "a"),
        ("embeddings", {"input": ["a", 5, "b"]}, "a b"),
        ("embeddings", {"messages": CHAT[:1]}, "a"),
        ("classify", {"input": ["a"]}, "a"),
        ("rerank", {"query": "q", "documents": ["d"]}, "q"),
        ("v1_rerank", {"query": {"x": 1}}, ""),
        ("messages", {"system": "s", "messages": CHAT[:2]}, "s a b c"),
        ("messages", {"system": [{"type": "text", "text": "s"}], "messages": []}, "s"),
        ("responses", {"input": "a"}, "a"),
        (
            "responses",
            {
                "input": [
                    {"role": "user", "content": "a"},
                    {"type": "message", "content": [{"type": "input_text", "text": "b"}]},
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "x"}]},
                    {"type": "function_call_output", "output": "y"},
                    7,
                ]
            },
            "a b",
        ),
        ("responses", {}, ""),
        ("other", {"messages": CHAT}, ""),
    ],
)
def test_text(endpoint: str, data: dict[str, Any], expected: str) -> None:
    assert text(endpoint, data) == expected


@pytest.mark.parametrize(
    ("endpoint", "data", "expected"),
    [
        ("generate", {"input_ids": [1, 2]}, [1, 2]),
        ("generate", {"input_ids": [[3], [4]]}, [3]),
        ("generate", {"input_ids": []}, None),
        ("generate", {"input_ids": [[]]}, None),
        ("generate", {"input_ids": [1, "2"]}, None),
        ("generate", {"input_ids": [True]}, None),
        ("generate", {"input_ids": [-1]}, None),
        ("generate", {"input_ids": [2**32]}, None),
        ("generate", {"text": "a"}, None),
        ("completions", {"prompt": [5]}, [5]),
        ("completions", {"prompt": "x"}, None),
        ("chat", {"input_ids": [1]}, None),
    ],
)
def test_tokens(endpoint: str, data: dict[str, Any], expected: list[int] | None) -> None:
    assert tokens(endpoint, data) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1,2,3", [1, 2, 3]),
        (b"0", [0]),
        (b"4294967295", [2**32 - 1]),
        (b",".join([b"1"] * 512), [1] * 512),
        (b"4294967296", None),
        (b"9" * 4000, None),
        (b",".join([b"1"] * 513), None),
        (b",".join([b"123456789"] * 450), None),
        (b"1,x,3", None),
        (b"1,,3", None),
        (b"1,", None),
        (b"1, 2", None),
        (b"+1", None),
        (b"-1", None),
        ("\u0661".encode(), None),
        (b"", None),
        (None, None),
    ],
)
def test_header_tokens(value: bytes | None, expected: list[int] | None) -> None:
    assert header_tokens(value) == expected


def test_routing_key() -> None:
    name = b"x-smg-routing-key"
    assert routing_key([(b"host", b"h"), (name, b"k")]) == b"k"
    assert routing_key([(name, b"k" * 128)]) == b"k" * 128
    assert routing_key([(name, "é".encode())]) == "é".encode()
    assert routing_key([(name, b"k" * 129)]) is None
    assert routing_key([(name, b"")]) is None
    assert routing_key([(name, b"\xff")]) is None
    assert routing_key([]) is None
    # Over-long: the next header decides; the order is the configured one.
    headers = [(b"b", b"2"), (b"a", b"1" * 129), (b"c", b"3")]
    assert routing_key(headers, (b"a", b"c", b"b")) == b"3"
