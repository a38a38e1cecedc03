"""The plain twin of `smg._speedups.detokenize`: one token at a time, everything looked at anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

# First and last continuation bytes of every range that UTF-8 allows somewhere.
_EDGES = (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF)


@cache
def begins_a_character(data: bytes) -> bool:
    """Whether some bytes after these make one character of them."""
    for missing in range(1, 5 - len(data)):
        for rest in product(_EDGES, repeat=missing):
            try:
                if len((data + bytes(rest)).decode()) == 1:
                    return True
            except UnicodeDecodeError:
                pass
    return False


class Utf8:
    """Decodes bytes as they come. (The one of `codecs` waits longer than it must after 0xED.)"""

    def __init__(self) -> None:
        self.tail = b""

    def decode(self, data: bytes, final: bool = False) -> str:
        data = self.tail + data
        tails = [data[-size:] for size in (3, 2, 1) if size <= len(data)]
        waiting = [tail for tail in tails if not final and begins_a_character(tail)]
        self.tail = waiting[0] if waiting else b""
        return data[: len(data) - len(self.tail)].decode("utf-8", "replace")


class PlainStopDecoder:
    def __init__(
        self,
        pieces: Sequence[bytes | None],
        special: Iterable[int] = (),
        *,
        hidden_ids: Iterable[int] = (),
        visible_ids: Iterable[int] = (),
        hidden_texts: Iterable[str] = (),
        visible_texts: Iterable[str] = (),
        skip_special: bool = True,
    ) -> None:
        self.pieces = pieces
        self.special = set(special)
        self.hidden_ids = set(hidden_ids)
        self.visible_ids = set(visible_ids) - self.hidden_ids
        self.texts = {text: True for text in visible_texts if text}
        self.texts.update({text: False for text in hidden_texts if text})
        self.skip_special = skip_special
        self.utf8 = Utf8()
        self.text = ""
        self.stopped = False
        self.matched: str | None = None
        self.taken = 0

    def piece(self, token: int) -> bytes:
        if not 0 <= token < len(self.pieces) or (self.skip_special and token in self.special):
            return b""
        return self.pieces[token] or b""

    def feed(self, ids: Iterable[int]) -> str:
        if self.stopped:
            return ""
        for token in ids:
            self.taken += 1
            if token in self.hidden_ids or token in self.visible_ids:
                if token in self.visible_ids:
                    self.text += self.utf8.decode(self.piece(token))
                self.stopped = True
                return self.everything()
            self.text += self.utf8.decode(self.piece(token))
            found = [
                (self.text.find(stop), -len(stop.encode()), stop)
                for stop in self.texts
                if stop in self.text
            ]
            if found:
                start, _, self.matched = min(found)
                self.stopped = True
                end = start + len(self.matched) if self.texts[self.matched] else start
                return self.text[:end]
        return self.take(len(self.text) - self.hold())

    def hold(self) -> int:
        """Characters at the end that a stop string begins with."""
        longest = max(map(len, self.texts), default=0)
        for size in range(min(len(self.text), longest), 0, -1):
            if any(len(stop) > size and stop.startswith(self.text[-size:]) for stop in self.texts):
                return size
        return 0

    def flush(self) -> str:
        return "" if self.stopped else self.everything()

    def everything(self) -> str:
        self.text += self.utf8.decode(b"", final=True)
        return self.take(len(self.text))

    def take(self, size: int) -> str:
        out, self.text = self.text[:size], self.text[size:]
        return out
