"""The bytes of every id, for those tokenizers where ids stand for bytes; checked before use."""

from __future__ import annotations

import logging
import random

from smg._speedups.detokenize import StopDecoder, Stops, TokenTable
from smg.tokenization.encoder import Encoder
from smg.tokenization.errors import DecodeFailed

log = logging.getLogger(__name__)

_RANDOM_IDS = 2000
_RUN = 16


def token_table(encoder: Encoder) -> TokenTable | None:
    """The table, or None when ids must be decoded by the library.

    It decodes random ids and every added token like the library does, or it is not used.
    """
    pieces = encoder.pieces()
    if not pieces:
        return None
    table = TokenTable(pieces, encoder.special_ids())
    used = [number for number, piece in enumerate(pieces) if piece is not None]
    chosen = random.Random(1).choices(used, k=_RANDOM_IDS) if used else []
    for token in encoder.added:
        chosen += [token.id, used[0]]
    no_stops = Stops()
    for at in range(0, len(chosen), _RUN):
        run = chosen[at : at + _RUN]
        for skip_special in (True, False):
            decoder = StopDecoder(table, no_stops, skip_special)
            got = decoder.feed(run) + decoder.flush()
            try:
                expected = encoder.decode(run, skip_special)
            except DecodeFailed as error:
                expected = str(error)
            if got != expected:
                log.warning("decoding token by token: ids %s are %r, not %r", run, expected, got)
                return None
    return table
