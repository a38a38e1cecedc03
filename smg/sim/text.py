"""What the simulated model says: deterministic words, so equal prompts get equal answers.

Everything is a pure function of (seed, token count) and cached, because the load-test worker must
not spend its time on prose.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

# Answers differ by seed; a small number of seeds keeps the caches of rendered frames small.
SEEDS = 64
SENTENCE_TOKENS = 12

PROSE = """
the gateway sends every request to a worker that already holds the beginning of its prompt so tokens
arrive sooner while quiet machines take new conversations and busy ones finish what they started a
healthy fleet shares load evenly keeps warm caches close and never loses a stream because each
answer travels in small pieces from engine through router until someone reads them
"""
WORDS = PROSE.split()


def seed_of(text: str) -> int:
    """A seed for `text`; reads its length and last kilobyte only, so long prompts cost no more."""
    return (crc32(text[-1024:].encode("utf-8", "surrogatepass")) ^ len(text)) % SEEDS


@lru_cache(maxsize=1024)
def answer_tokens(seed: int, count: int) -> tuple[str, ...]:
    """`count` tokens; joined they are sentences. All but the first start with a space."""
    tokens: list[str] = []
    state = seed * 2654435761 + 12345
    for position in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        word = WORDS[(state >> 16) % len(WORDS)]
        place = position % SENTENCE_TOKENS
        if place == 0:
            word = word.capitalize()
        if place == SENTENCE_TOKENS - 1 or position == count - 1:
            word += "."
        tokens.append(word if position == 0 else " " + word)
    return tuple(tokens)


def pieces(text: str) -> tuple[str, ...]:
    """Cut fixed text (JSON answers, tool arguments) into token-sized pieces of four characters."""
    return tuple(text[start : start + 4] for start in range(0, len(text), 4)) or ("",)
