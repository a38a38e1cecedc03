"""`/v1/embeddings`, `/v1/rerank` and `/v1/classify`: numbers that depend on the text only."""

from __future__ import annotations

import base64
import hashlib
import math
from array import array
from typing import Any

import orjson

from smg.sim import prompts
from smg.sim.settings import SimSettings


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector; equal texts give equal vectors."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    raw = [
        int.from_bytes(digest[place : place + 2], "little") - 32767.5
        for place in range(0, 2 * dimensions, 2)
    ]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [round(value / length, 7) for value in raw]


def share(text: str) -> float:
    """A number from 0 to 1 that depends on the text only."""
    return (
        int.from_bytes(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big"
        )
        / 2**32
    )


def inputs_of(data: dict[str, Any]) -> list[prompts.Prompt]:
    """`input`: a string, strings, token ids or lists of token ids."""
    given = data.get("input")
    if given is None:
        raise prompts.reject("input is required", "input")
    return prompts.completion_prompts(given)


def _text(prompt: prompts.Prompt) -> str:
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def embeddings(data: dict[str, Any], settings: SimSettings, model: str) -> bytes:
    """The OpenAI embeddings list; `encoding_format` base64 is little-endian float32."""
    inputs = inputs_of(data)
    dimensions = prompts.whole(data, "dimensions") or settings.embedding_dimensions
    if dimensions > 65536:
        raise prompts.reject("dimensions is too large", "dimensions")
    encoding = data.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise prompts.reject("encoding_format must be float or base64", "encoding_format")
    rows = []
    for index, one in enumerate(inputs):
        values: Any = vector(_text(one), dimensions)
        if encoding == "base64":
            values = base64.b64encode(array("f", values).tobytes()).decode()
        rows.append({"object": "embedding", "index": index, "embedding": values})
    count = sum(map(prompts.count_tokens, inputs))
    return orjson.dumps(
        {
            "object": "list",
            "data": rows,
            "model": model,
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }
    )


def rerank(data: dict[str, Any], settings: SimSettings, model: str) -> bytes:
    """SGLang's bare array, best first: share of query words in a document, plus a little hash."""
    query, documents = data.get("query"), data.get("documents")
    if not isinstance(query, str):
        raise prompts.reject("query must be a string", "query")
    if not isinstance(documents, list) or not all(isinstance(one, str) for one in documents):
        raise prompts.reject("documents must be an array of strings", "documents")
    words = set(query.lower().split())
    rows = []
    for index, document in enumerate(documents):
        met = len(words & set(document.lower().split())) / (len(words) or 1)
        score = round(0.9 * met + 0.1 * share(query + document), 6)
        meta = {"id": f"rerank-{index}", "prompt_tokens": prompts.count_tokens(query + document)}
        rows.append({"score": score, "document": document, "index": index, "meta_info": meta})
    rows.sort(key=lambda row: (-float(str(row["score"])), row["index"]))
    return orjson.dumps(rows)


def classify(data: dict[str, Any], settings: SimSettings, model: str) -> bytes:
    """Two classes per input, with probabilities that add up to 1."""
    inputs = inputs_of(data)
    rows = []
    for index, one in enumerate(inputs):
        first = round(share(_text(one)), 6)
        probs = [first, round(1 - first, 6)]
        label = "LABEL_0" if first >= 0.5 else "LABEL_1"
        rows.append({"index": index, "label": label, "probs": probs, "num_classes": 2})
    count = sum(map(prompts.count_tokens, inputs))
    usage = {"prompt_tokens": count, "completion_tokens": 0, "total_tokens": count}
    ident = f"classify-{hashlib.blake2b(orjson.dumps(data), digest_size=8).hexdigest()}"
    return orjson.dumps(
        {"id": ident, "object": "list", "created": 0, "model": model, "data": rows, "usage": usage}
    )
