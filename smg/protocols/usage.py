"""How many tokens a request has, in HTTP mode, where nobody tokenizes.

Estimated before it runs, for limits on tokens alone; read off the end of its answer, for them and
once per complete stream for metrics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from smg.protocols import routing_text

#: of English text, as engines' vocabularies cut it
BYTES_PER_TOKEN = 4
#: the end of an answer that holds its usage, whatever an engine writes behind it
TAIL_BYTES = 4096

# Sizes between the pieces of a chunked body; a piece may end in the middle of a number.
_CHUNK_LINE = re.compile(rb"\r\n[0-9a-fA-F]{1,8}\r\n")
_COUNT = re.compile(rb'"(prompt|input|completion|output)_tokens"\s*:\s*([0-9]{1,9})\b')


def estimate(endpoint: str, data: dict[str, Any]) -> int:
    """Tokens of a request's prompt, at least 1: exact where it is given as ids, else a token per
    four bytes of its text. `endpoint` as in CHECKERS.
    """
    ids: Sequence[int] | None = routing_text.tokens(endpoint, data)
    if ids is not None:
        return max(1, len(ids))
    text = routing_text.text(endpoint, data)
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return max(1, -(-size // BYTES_PER_TOKEN))


def counted(tail: bytes) -> tuple[int | None, int | None]:
    """Tokens of prompt and of answer, as the last `usage` (or `meta_info` of `/generate`) in the
    end of an answer says; None where it does not.
    """
    start = max(tail.rfind(b'"usage"'), tail.rfind(b'"meta_info"'))
    if start < 0:
        return None, None
    prompt = answer = None
    for match in _COUNT.finditer(_CHUNK_LINE.sub(b"", tail[start:])):
        name, number = match[1], int(match[2])
        if name in (b"prompt", b"input"):
            prompt = number if prompt is None else prompt
        elif answer is None:
            answer = number
    return prompt, answer
