"""`POST /v1/tokenize` and `POST /v1/detokenize`: text to ids and back (http-api 15.1 to 15.3).

A request is admitted by the size of its body before the body is parsed. Anything but a short text
is worked on by threads, in pieces: a long C call that holds the interpreter's lock stops the event
loop from another thread too, so ids are written without it, and decoded a few thousand at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import orjson

from smg._speedups.token_ids import as_json
from smg.core.errors import RequestError, TokenizerError
from smg.protocols.tokenize import (
    Ids,
    Text,
    check_ids_body,
    check_texts,
    ids_of,
    size_of,
    text_of,
)
from smg.server.handlers import Response, json_response
from smg.tokenization.errors import DecodeFailed, EncodeFailed

if TYPE_CHECKING:
    from smg.server.exchange import Exchange
    from smg.tokenization.pool import EncodePool
    from smg.tokenization.registry import Entry, TokenizerRegistry
    from smg.tokenization.tokenizer import Tokenizer
    from smg.workers import WorkerRegistry

T = TypeVar("T")
Item = TypeVar("Item", Text, Ids)

MOST_BODY = 16 << 20  # bytes
# What the loop does itself; all other work is for a thread.
SHORT_BODY = 16_384  # bytes to parse
SHORT_TEXT = 512  # characters to encode
SHORT_IDS = 256  # to decode
PIECE = 65_536  # characters or ids that a thread works on before it takes up somebody else's
WAIT_SECS = 5.0  # for a tokenizer that is being loaded
_ITEM = 16  # what an item counts besides what is in it


class TokenizerLookup:
    """From the `model` of a request to a tokenizer.

    `default`: the name of the tokenizer that was loaded at start; it stands for the models of all
    workers that have none under their own name.
    """

    def __init__(
        self, registry: TokenizerRegistry, workers: WorkerRegistry, default: str | None
    ) -> None:
        self._registry = registry
        self._workers = workers
        self._default = default

    async def find(self, model: str) -> Tokenizer:
        """By name, alias or id; one that is being loaded is waited for. TokenizerError."""
        entry = self._entry(model)
        if entry is None:
            name = self._loading(model)
            if name is not None:
                entry = await self._registry.wait(name, WAIT_SECS)
                if entry is None and self._registry.is_loading(name):
                    raise TokenizerError(
                        f"The tokenizer for model '{model[:200]}' is being loaded",
                        status=503,
                        retry_after=2,
                    )
        if entry is None:
            raise TokenizerError(self._not_found(model), status=400)
        return entry.tokenizer

    def _entry(self, model: str) -> Entry | None:
        if model in ("", "unknown"):
            return next(iter(self._registry.entries()), None)
        for name in self._names(model):
            entry = self._registry.get(name)
            if entry is not None:
                return entry
        return None

    def _names(self, model: str) -> list[str]:
        """What the tokenizer of a model may be called, the likeliest first."""
        names = [model]
        canonical = self._workers.canonical(model)
        if canonical != model:
            names.append(canonical)
        if self._default is not None and any(
            card.id == canonical for card in self._workers.models()
        ):
            names.append(self._default)
        return names

    def _loading(self, model: str) -> str | None:
        names = [self._default] if model in ("", "unknown") else self._names(model)
        return next((name for name in names if name and self._registry.is_loading(name)), None)

    def _not_found(self, model: str) -> str:
        entries = self._registry.entries()
        if not entries:
            return "No tokenizers available. Use POST /v1/tokenizers to add one."
        # A tokenizer loaded at start is called by its path, which is not for clients to know.
        names = ", ".join(entry.name for entry in entries if not os.path.isabs(entry.name))
        available = f" Available: {names}" if names else ""
        return f"Tokenizer for model '{model[:200]}' not found.{available}"


class Tokenization:
    """Both handlers."""

    def __init__(self, tokenizers: TokenizerLookup, pool: EncodePool) -> None:
        self._tokenizers = tokenizers
        self._pool = pool

    async def tokenize(self, exchange: Exchange) -> Response:
        """`POST /v1/tokenize`."""
        raw = exchange.body
        with self._pool.admission(_size(raw)):
            check = partial(check_texts, raw, exchange.content_type)
            body = await self._do(len(raw) < SHORT_BODY, check)
            tokenizer = await self._tokenizers.find(body.model)
            rows: list[_Row] = []
            for size, part in _pieces(body.texts, body.batch):
                rows += await self._do(size < SHORT_TEXT, partial(_encoded, tokenizer, part))
            if body.batch:
                return Response(200, await self._do(len(raw) < SHORT_TEXT, partial(_batch, rows)))
        [row] = rows
        return Response(200, b'{"tokens":%b,"count":%d,"char_count":%d}' % row)

    async def detokenize(self, exchange: Exchange) -> Response:
        """`POST /v1/detokenize`."""
        raw = exchange.body
        with self._pool.admission(_size(raw)):
            check = partial(check_ids_body, raw, exchange.content_type)
            body = await self._do(len(raw) < SHORT_BODY, check)
            tokenizer = await self._tokenizers.find(body.model)
            texts: list[str] = []
            for size, part in _pieces(body.sequences, body.batch):
                work = partial(_decoded, tokenizer, part, body.skip_special_tokens)
                texts += await self._do(size < SHORT_IDS, work)
        return json_response({"text": texts if body.batch else texts[0]})

    async def _do(self, short: bool, work: Callable[[], T]) -> T:
        try:
            return work() if short else await self._pool.run(work)
        except (EncodeFailed, DecodeFailed) as error:
            raise TokenizerError(
                error.message, status=error.status, code=error.code, cause=error.cause
            ) from error


def _size(raw: bytes) -> int:
    if len(raw) > MOST_BODY:
        raise RequestError(
            f"The request body has {len(raw)} bytes, at most {MOST_BODY} are tokenized at once",
            status=413,
            code="request_body_too_large",
        )
    return len(raw)


def _pieces(items: Sequence[Item], batch: bool) -> Iterator[tuple[int, list[tuple[Item, str]]]]:
    """Neighbours that are worth a thread's while together: their size, and each with its place."""
    size = 0
    piece: list[tuple[Item, str]] = []
    for at, item in enumerate(items):
        size += size_of(item) + _ITEM
        piece.append((item, f"[{at}]" if batch else ""))
        if size >= PIECE:
            yield size, piece
            size, piece = 0, []
    if piece:
        yield size, piece


class _Row(NamedTuple):
    """The ids of a text as a JSON array, how many they are, and the characters of the text."""

    ids: bytes
    number: int
    characters: int


def _encoded(tokenizer: Tokenizer, texts: Iterable[tuple[Text, str]]) -> list[_Row]:
    rows = []
    for item, place in texts:
        text = text_of(item, place)
        ids = tokenizer.encode(text)
        rows.append(_Row(as_json(ids), len(ids), len(text)))
    return rows


def _batch(rows: Sequence[_Row]) -> bytes:
    """The answer to a batch. Megabytes are joined without the interpreter's lock."""
    parts = [b'{"tokens":[']
    for row in rows:
        parts += (row.ids, b",")
    if rows:
        parts.pop()
    counts = orjson.dumps([row.number for row in rows])
    characters = orjson.dumps([row.characters for row in rows])
    return b"".join((*parts, b'],"count":', counts, b',"char_count":', characters, b"}"))


def _decoded(
    tokenizer: Tokenizer, sequences: Iterable[tuple[Ids, str]], skip_special: bool
) -> list[str]:
    return [
        tokenizer.decode(ids_of(item, place), skip_special=skip_special)
        for item, place in sequences
    ]
