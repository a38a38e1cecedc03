"""What a policy may look at beside the workers: text, token ids and the sticky key of a request.

routing-reliability 3. Nothing here runs unless a policy asks. Bodies have passed their checker,
which looks at little of their inside, so every function takes whatever JSON it meets and skips
what is not text. Text is an approximation of the prompt: messages in order joined by a space, no
chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

MAX_HEADER_TOKENS = 512
MAX_HEADER_BYTES = 4096
MAX_KEY_BYTES = 128
DEFAULT_KEY_HEADERS = (b"x-smg-routing-key",)
_U32 = 1 << 32


def text(endpoint: str, data: dict[str, Any]) -> str:
    """The routing text of a request, empty where there is none; `endpoint` as in CHECKERS."""
    flatten = _FLATTEN.get(endpoint)
    return "" if flatten is None else flatten(data)


def tokens(endpoint: str, data: dict[str, Any]) -> Sequence[int] | None:
    """The ids in the body: `/generate` input_ids, a completions prompt of ids; first of a batch."""
    if endpoint == "generate":
        return _ids(data.get("input_ids"))
    if endpoint == "completions":
        return _ids(data.get("prompt"))
    return None


def header_tokens(value: bytes | None) -> Sequence[int] | None:
    """`x-smg-routing-tokens`: decimal u32 ids between commas; None if anything is malformed."""
    if not value or len(value) > MAX_HEADER_BYTES:
        return None
    items = value.split(b",")
    if len(items) > MAX_HEADER_TOKENS or not all(map(bytes.isdigit, items)):
        return None
    ids = list(map(int, items))
    return ids if max(ids) < _U32 else None


def routing_key(
    headers: Sequence[tuple[bytes, bytes]], names: Sequence[bytes] = DEFAULT_KEY_HEADERS
) -> bytes | None:
    """The value of the first configured header with a valid one: UTF-8 of 1 to 128 bytes."""
    for wanted in names:
        for name, value in headers:
            if name == wanted and 0 < len(value) <= MAX_KEY_BYTES and _is_utf8(value):
                return value
    return None


def request_key(data: dict[str, Any]) -> bytes | None:
    """The body's `rid`, of a batch the first; None if there is none or it is no usable text."""
    rid = data.get("rid")
    if rid.__class__ is list and rid:
        rid = rid[0]
    if rid.__class__ is not str or not rid:
        return None
    try:
        return rid.encode()
    except UnicodeEncodeError:
        return None


def _is_utf8(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ids(value: Any) -> Sequence[int] | None:
    if value.__class__ is not list or not value:
        return None
    if value[0].__class__ is list:
        value = value[0]
    # Three C loops are far cheaper than one in Python; a long prompt has 100 000 ids.
    if not value or set(map(type, value)) != {int} or min(value) < 0 or max(value) >= _U32:
        return None
    return value  # type: ignore[no-any-return]


def _join(pieces: Iterable[str]) -> str:
    return " ".join(piece for piece in pieces if piece)


def _content(content: Any) -> Iterator[str]:
    """A string, or the texts of its parts."""
    if content.__class__ is str:
        yield content
    elif content.__class__ is list:
        for part in content:
            if part.__class__ is dict:
                piece = part.get("text")
                if piece.__class__ is str:
                    yield piece
            elif part.__class__ is str:
                yield part


def _chat_pieces(messages: Any) -> Iterator[str]:
    for message in messages if messages.__class__ is list else ():
        if message.__class__ is dict:
            yield from _content(message.get("content"))
            reasoning = message.get("reasoning_content")
            if reasoning.__class__ is str:
                yield reasoning


def _chat(data: dict[str, Any]) -> str:
    return _join(_chat_pieces(data.get("messages")))


def _strings(value: Any) -> str:
    """A string, the strings of an array, or token ids written out."""
    if value.__class__ is str:
        return value
    if value.__class__ is not list:
        return ""
    ids = _ids(value)
    if ids is not None:
        return " ".join(map(str, ids))
    return _join(item for item in value if item.__class__ is str)


def _completions(data: dict[str, Any]) -> str:
    return _strings(data.get("prompt"))


def _generate(data: dict[str, Any]) -> str:
    return _strings(data.get("text")) or _strings(data.get("input_ids"))


def _embeddings(data: dict[str, Any]) -> str:
    return _strings(data["input"]) if "input" in data else _chat(data)


def _rerank(data: dict[str, Any]) -> str:
    query = data.get("query")
    return query if query.__class__ is str else ""


def _messages(data: dict[str, Any]) -> str:
    return _join(chain(_content(data.get("system")), _chat_pieces(data.get("messages"))))


def _responses(data: dict[str, Any]) -> str:
    given = data.get("input")
    if given.__class__ is not list:
        return _strings(given)
    return _join(_chat_pieces([item for item in given if _is_message(item)]))


def _is_message(item: Any) -> bool:
    """Reasoning and tool items have a type of their own; a message may do without one."""
    return item.__class__ is dict and item.get("type") in (None, "message")


_FLATTEN: dict[str, Callable[[dict[str, Any]], str]] = {
    "chat": _chat,
    "completions": _completions,
    "generate": _generate,
    "embeddings": _embeddings,
    "classify": _embeddings,
    "rerank": _rerank,
    "v1_rerank": _rerank,
    "messages": _messages,
    "responses": _responses,
}
