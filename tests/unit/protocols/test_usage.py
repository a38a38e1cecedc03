"""How many tokens: by estimate, and by what the end of an answer says."""

from __future__ import annotations

import pytest

from smg.protocols.usage import counted, estimate


@pytest.mark.parametrize(
    ("endpoint", "data", "tokens"),
    [
        ("chat", {"messages": [{"role": "user", "content": "x" * 40}]}, 10),
        ("chat", {"messages": [{"role": "user", "content": "x" * 41}]}, 11),
        ("chat", {"messages": [{"role": "user", "content": "ä" * 20}]}, 10),  # bytes, not letters
        ("chat", {"messages": []}, 1),
        ("chat", {"messages": [{"role": "user", "content": "\ud800"}]}, 1),
        ("generate", {"input_ids": [1, 2, 3]}, 3),
        ("completions", {"prompt": [5] * 7}, 7),
        ("completions", {"prompt": ["x" * 20, "y" * 19]}, 10),
        ("rerank", {"query": "x" * 8, "documents": ["y"]}, 2),
        ("messages", {"system": "x" * 7, "messages": [{"role": "user", "content": "y" * 8}]}, 4),
    ],
)
def test_estimate(endpoint, data, tokens):
    assert estimate(endpoint, data) == tokens


OPENAI = b'"usage":{"prompt_tokens":3,"total_tokens":8,"completion_tokens":5,'
OPENAI += b'"completion_tokens_details":{"reasoning_tokens":2}}}'


@pytest.mark.parametrize(
    ("tail", "tokens"),
    [
        (b"", (None, None)),
        (b'{"choices":[]}', (None, None)),
        (b"{" + OPENAI, (3, 5)),
        (b'{"usage": {"prompt_tokens": 3, "completion_tokens": 5}}', (3, 5)),
        (b'{"usage":{"prompt_tokens":3,"total_tokens":3}}', (3, None)),
        (b'{"usage":{"input_tokens":3,"output_tokens":5}}', (3, 5)),
        (b'{"meta_info":{"prompt_tokens":3,"completion_tokens":5}}', (3, 5)),
        # the last one counts: streams may tell more than once
        (b'{"usage":{"completion_tokens":1}}{"usage":{"completion_tokens":5}}', (None, 5)),
        (b'{"usage":{"completion_tokens":1}}{"usage":null}', (None, None)),
        # a chunk that ends in the middle of a number
        (b'a\r\n{"usage":{"prompt_tokens":1\r\n1f\r\n23,"completion_tokens":5}}\r\n', (123, 5)),
        # text of the model that looks like it
        (b'{"text":"\\"usage\\":{\\"prompt_tokens\\":9}"}', (None, None)),
        (b'{"usage":{"prompt_tokens":-1,"completion_tokens":1e9}}', (None, None)),
    ],
)
def test_counted(tail, tokens):
    assert counted(tail) == tokens
