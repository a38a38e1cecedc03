"""Whether a tokenizer encodes pieces like the whole: tried out when it is loaded.

Some look back over a cut: tokens that swallow the blanks behind them, pre-tokenizers that treat
the beginning of a text specially, post-processors that put a token at the end. What a tokenizer
declares about itself is not proof, so texts that provoke all of it are encoded both ways.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterator
from itertools import pairwise

from smg.tokenization.boundaries import Cutter
from smg.tokenization.encoder import AddedToken, Encoder, joined
from smg.tokenization.errors import EncodeFailed

log = logging.getLogger(__name__)

# Between two tokens: blanks on both sides, nothing, digits, punctuation, scripts without blanks,
# characters of several bytes, and ends of lines.
_BETWEEN = (
    "",
    " ",
    "user\n",
    "  two blanks  ",
    "\n\nline\n",
    "12345 67",
    "a",
    "'s it's",
    "<|",
    "漢字かな",
    "🎉 e\u0301é\u00a0",
    "\tx = 1\r\n",
)
_MOST_TOKENS = 400


def splits_exactly(encoder: Encoder, cutter: Cutter) -> bool:
    """Whether L1 may be used; logs why not."""
    if not cutter.finds_any:
        return False
    if not encoder.scans_alike:
        log.warning("tokenizer cache L1 is off: added tokens depend on the text around them")
        return False
    try:
        for text in _probes(encoder.added):
            # Every single cut, also those that a text's pieces would merge.
            cuts = [0, *cutter.ends(text), len(text)]
            parts = [text[a:b] for a, b in pairwise(cuts)]
            if joined(encoder.encode_many(parts)) != encoder.encode(text, False):
                log.warning("tokenizer cache L1 is off: %r encodes differently in pieces", text)
                return False
    except EncodeFailed as error:
        log.warning("tokenizer cache L1 is off: %s", error)
        return False
    return True


def special_prefix(encoder: Encoder) -> array[int] | None:
    """What `add_special_tokens` puts in front of any text; None if it does anything else."""
    prefix = encoder.encode("", True)
    for text in ("x", " two words", "é\n", *(token.content for token in encoder.added[:8])):
        if joined([prefix, encoder.encode(text, False)]) != encoder.encode(text, True):
            return None
    return prefix


def _probes(added: tuple[AddedToken, ...]) -> Iterator[str]:
    """Texts with every token and everything of `_BETWEEN`, each between different neighbours."""
    contents = [token.content for token in added if token.content]
    if len(contents) > _MOST_TOKENS:  # reserved ones, all alike
        step = len(contents) // (_MOST_TOKENS // 2)
        contents = [*contents[:_MOST_TOKENS], *contents[_MOST_TOKENS::step]]
    for at, content in enumerate(contents):
        other = contents[(at * 7 + 3) % len(contents)]
        for turn in range(3):
            before = _BETWEEN[(at + turn * 4) % len(_BETWEEN)]
            between = _BETWEEN[(at * 5 + turn) % len(_BETWEEN)]
            yield f"{before}{content}{between}{other}{before}{content}"
    for text in _BETWEEN:
        yield f"{text}{contents[0]}{text}{contents[-1]}{text}"
