"""Request bodies: bytes in, a checked body or a RequestError out. No I/O.

`CHECKERS[endpoint](raw, content_type)` is called once per request. What each one refuses:
docs/reference/request-checks.md.
"""

from __future__ import annotations

from collections.abc import Callable

from smg.protocols import (
    chat,
    completions,
    embeddings,
    generate,
    messages,
    rerank,
    responses,
)
from smg.protocols.body import CheckedBody
from smg.protocols.rerank import RerankBody

Checker = Callable[[bytes, "bytes | None"], CheckedBody]

CHECKERS: dict[str, Checker] = {
    "chat": chat.check,
    "completions": completions.check,
    "generate": generate.check,
    "embeddings": embeddings.check,
    "classify": embeddings.check,
    "rerank": rerank.check,
    "v1_rerank": rerank.check_v1,
    "responses": responses.check,
    "messages": messages.check,
}

__all__ = ["CHECKERS", "CheckedBody", "Checker", "RerankBody"]
