"""Everything that was loaded for one model."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

from smg._speedups.detokenize import StopDecoder, Stops
from smg.tokenization.chat_template import ChatTemplate
from smg.tokenization.encode_cache import CacheLimits, CacheStats, EncodeCache
from smg.tokenization.encoder import Encoder
from smg.tokenization.token_table import token_table

_LONG = 4096  # ids that are decoded in one call
_NO_STOPS = Stops()


class Tokenizer:
    """One tokenizer with its template, its stop ids and its caches; used by all requests at once.

    `tokens`: the named special tokens. `eos_ids`: ids that end an answer. `template` is None when
    the model has none. The caches belong to this object and die with it.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        tokens: Mapping[str, str] | None = None,
        template: ChatTemplate | None = None,
        eos_ids: Sequence[int] = (),
        limits: CacheLimits | None = None,
    ) -> None:
        self.encoder = encoder
        self.tokens = dict(tokens or {})
        self.template = template
        self.eos_ids = tuple(eos_ids)
        self._cache = EncodeCache(encoder, limits or CacheLimits())
        self._table = token_table(encoder)

    @property
    def vocab_size(self) -> int:
        """As the API reports it."""
        return self.encoder.vocab_size

    @property
    def uses_table(self) -> bool:
        """Whether answers are decoded from a table of bytes, the fast way."""
        return self._table is not None

    @property
    def stats(self) -> CacheStats:
        """What the caches did so far."""
        return self._cache.stats()

    def cached(self, text: str, *, add_special_tokens: bool = False) -> array[int] | None:
        """The ids of a text that was encoded before; never computes."""
        return self._cache.get(text, add_special_tokens)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> array[int]:
        """The ids of a text. They are shared: do not change them. Errors: EncodeFailed.

        A third of a millisecond per 1,000 characters that are not cached: long texts belong on a
        thread.
        """
        return self._cache.encode(text, add_special_tokens)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of a whole answer; errors: DecodeFailed."""
        if self._table is None or len(ids) <= _LONG or self.encoder.refuses_unknown_ids:
            return self.encoder.decode(ids, skip_special)
        # The library would keep all other threads waiting until it is done.
        decoder = StopDecoder(self._table, _NO_STOPS, skip_special)
        parts = [decoder.feed(ids[at : at + _LONG]) for at in range(0, len(ids), _LONG)]
        return "".join(parts) + decoder.flush()

    def stops(
        self,
        *,
        texts: Iterable[str] = (),
        ids: Iterable[int] = (),
        ignore_eos: bool = False,
        visible: bool = False,
    ) -> Stops:
        """What ends the answers of one request: its stop strings and ids, and the model's own
        ids unless `ignore_eos`. `visible` (`no_stop_trim`): the answer ends with what stopped it.
        """
        every = {*ids, *(() if ignore_eos else self.eos_ids)}
        if visible:
            return Stops((), every, (), texts)
        return Stops(every, (), texts, ())

    def decoder(self, stops: Stops, *, skip_special: bool = True) -> StopDecoder:
        """A decoder for one choice of an answer."""
        if self._table is not None:
            return StopDecoder(self._table, stops, skip_special)
        stream = self.encoder.stream(skip_special)
        if stream is None:
            raise TypeError(f"{type(self.encoder).__name__} has neither bytes nor a stream")
        return StopDecoder(None, stops, skip_special, stream.step, stream.finish)
