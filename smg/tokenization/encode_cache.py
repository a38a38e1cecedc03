"""Encoding that remembers: whole texts (L0), and pieces between added tokens (L1).

The ids are those of a plain encode, always. L0 finds a text that came before as it is. L1 cuts a
text behind its added tokens and keeps the ids of each piece: a chat's messages are encoded once,
whoever sends them and however often, and a growing chat costs its new messages only.
"""

from __future__ import annotations

import sys
import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from smg.tokenization.boundaries import Cutter
from smg.tokenization.encoder import IDS, Encoder
from smg.tokenization.split_check import special_prefix, splits_exactly

_ENTRY = 100  # bytes of an entry besides text and ids, about
_DIGEST = 16


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Which caches are on, and how large they may grow (bytes, and entries of L0)."""

    l0: bool = False
    l0_entries: int = 10_000
    l0_bytes: int = 256 << 20
    l1: bool = False
    l1_bytes: int = 50 << 20


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counters since the start, and present sizes.

    An L1 hit is a text whose first piece was known. `reused` and `encoded`: characters that the
    caches spared, and that were encoded.
    """

    l0_hits: int
    l0_misses: int
    l0_entries: int
    l0_bytes: int
    l1_hits: int
    l1_misses: int
    l1_entries: int
    l1_bytes: int
    reused: int
    encoded: int


class _Lru:
    """Ids by key, the least recently used of them dropped when a limit is reached."""

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._limit = size
        self._map: OrderedDict[object, tuple[array[int], int]] = OrderedDict()
        # Encoding runs on several threads, and a look-up is two steps.
        self._lock = threading.Lock()
        self.size = 0

    def __len__(self) -> int:
        return len(self._map)

    def get(self, key: object) -> array[int] | None:
        with self._lock:
            found = self._map.get(key)
            if found is None:
                return None
            self._map.move_to_end(key)
            return found[0]

    def put(self, key: object, ids: array[int], key_size: int) -> None:
        size = key_size + ids.itemsize * len(ids) + _ENTRY
        if size > self._limit:
            return
        with self._lock:
            if key in self._map:
                return
            self._map[key] = (ids, size)
            self.size += size
            while self.size > self._limit or len(self._map) > self._entries:
                _, (_, dropped) = self._map.popitem(last=False)
                self.size -= dropped


def _digest(piece: str) -> bytes:
    # Cryptographic, because clients choose the texts and share the cache. A lone surrogate must
    # not fail here: the encoder has the right error for it.
    return blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


class EncodeCache:
    """`encode` of one tokenizer behind both caches."""

    def __init__(self, encoder: Encoder, limits: CacheLimits) -> None:
        self._encoder = encoder
        self._texts = _Lru(limits.l0_entries, limits.l0_bytes) if limits.l0 else None
        self._pieces: _Lru | None = None
        self._cutter = Cutter(())
        self._prefix: array[int] | None = None
        if limits.l1:
            cutter = Cutter(encoder.added)
            if splits_exactly(encoder, cutter):
                self._pieces = _Lru(sys.maxsize, limits.l1_bytes)
                self._cutter = cutter
                self._prefix = special_prefix(encoder)
        self._l0_hits = self._l0_misses = self._l1_hits = self._l1_misses = 0
        self._reused = self._encoded = 0

    def stats(self) -> CacheStats:
        """The present counts; those of two threads may be off by a few."""
        texts, pieces = self._texts, self._pieces
        return CacheStats(
            l0_hits=self._l0_hits,
            l0_misses=self._l0_misses,
            l0_entries=0 if texts is None else len(texts),
            l0_bytes=0 if texts is None else texts.size,
            l1_hits=self._l1_hits,
            l1_misses=self._l1_misses,
            l1_entries=0 if pieces is None else len(pieces),
            l1_bytes=0 if pieces is None else pieces.size,
            reused=self._reused,
            encoded=self._encoded,
        )

    def get(self, text: str, add_special_tokens: bool) -> array[int] | None:
        """The ids of a text that L0 has."""
        if self._texts is None:
            return None
        ids = self._texts.get((text, add_special_tokens))
        if ids is not None:
            self._l0_hits += 1
            self._reused += len(text)
        return ids

    def encode(self, text: str, add_special_tokens: bool) -> array[int]:
        """The ids of a text; errors: EncodeFailed."""
        ids = self.get(text, add_special_tokens)
        if ids is not None:
            return ids
        if self._pieces is None or (add_special_tokens and self._prefix is None):
            ids = self._encoder.encode(text, add_special_tokens)
            self._encoded += len(text)
        else:
            ids = self._encode_pieces(self._pieces, text, add_special_tokens)
        if self._texts is not None:
            self._l0_misses += 1
            self._texts.put((text, add_special_tokens), ids, sys.getsizeof(text))
        return ids

    def _encode_pieces(self, cache: _Lru, text: str, add_special_tokens: bool) -> array[int]:
        pieces = self._cutter.pieces(text)
        # The last piece has no token at its end: it is another one when the chat has grown.
        keys = [_digest(piece) for piece in pieces[:-1]]
        found = [cache.get(key) for key in keys]
        if found and found[0] is not None:
            self._l1_hits += 1
        else:
            self._l1_misses += 1
        missing = [at for at, ids in enumerate(found) if ids is None]
        if pieces[-1]:
            missing.append(len(keys))
        encoded = dict(
            zip(missing, self._encoder.encode_many([pieces[at] for at in missing]), strict=True)
        )
        whole = array(IDS, self._prefix or ()) if add_special_tokens else array(IDS)
        for at, ids in enumerate([*found, None]):
            if ids is None:
                ids = encoded.get(at, array(IDS))
                if at < len(keys):
                    cache.put(keys[at], ids, _DIGEST)
                self._encoded += len(pieces[at])
            else:
                self._reused += len(pieces[at])
            whole.extend(ids)
        return whole
