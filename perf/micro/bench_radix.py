"""The routing trees beside `orjson.loads` of the body that brings the prompt.

`python -m perf.micro.bench_radix [--quick] [--only speed]`. Ratios within one run: finding and
storing a prompt (walk + commit), over parsing a chat body with that text. The tree is full and much
larger than the caches; the input has just been touched, as in the gateway. The smaller the prompts
that fill the tree, the more of them must go for a new one: hence two fillings.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
from array import array
from collections.abc import Callable
from time import perf_counter_ns

import orjson

from smg._speedups.radix import TextTree, TokenTree
from smg._speedups.radix_check import layout

WORDS = random.Random(1)
ALPHABET = "etaoinshrdlucmfwypvbgkjqxz"
VOCABULARY = ["".join(WORDS.choices(ALPHABET, k=WORDS.randrange(2, 11))) for _ in range(20_000)]
SIZES = ((1 << 10, 40), (32 << 10, 40), (256 << 10, 15), (1 << 20, 7))


def text(rng: random.Random, size: int, kind: str = "ascii") -> str:
    """Words, now and then a new paragraph; `size` characters that nobody else has."""
    if kind == "cjk":
        return "".join(map(chr, rng.choices(range(0x4E00, 0x9FA5), k=size)))
    words = rng.choices(VOCABULARY, k=size // 6 + 2)
    for at in range(80, len(words), 80):
        words[at] += "\n"
    whole = " ".join(words)
    if kind == "latin":
        whole = whole.replace("a", "é")
    return (whole * 2)[:size]


def body(prompt: str) -> bytes:
    """A chat body of several messages with this text in them."""
    parts = 6 if len(prompt) >= 600 else 2
    step = len(prompt) // parts + 1
    roles = ["system", *["user", "assistant"] * parts]
    messages = [
        {"role": role, "content": prompt[at : at + step]}
        for role, at in zip(roles, range(0, len(prompt), step), strict=False)
    ]
    return orjson.dumps({"model": "m", "messages": messages, "stream": True, "max_tokens": 256})


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Full:
    """A tree that has been full for a while with prompts of half to three halves of `size`."""

    def __init__(self, units: int, tenants: int, size: int) -> None:
        self.rng = random.Random(2)
        self.tenants = tenants
        self.tree = TextTree(units)
        stored = 0
        while stored < units * 5 // 4 or self.tree.total < units * 0.99:
            prompt = text(self.rng, self.rng.randrange(size // 2, size * 3 // 2))
            self.tree.insert(prompt, self.rng.randrange(tenants))
            stored += len(prompt)
        for longer, _ in SIZES:  # memory that long prompts need is there
            for _ in range(max(2, units // 8 // longer)):
                self.tree.insert(*self.new(longer, "ascii"))

    def new(self, size: int, kind: str) -> tuple[str, int]:
        return text(self.rng, size, kind), self.rng.randrange(self.tenants)

    def extended(self, size: int, kind: str) -> tuple[str, int]:
        """A prompt of which four fifths are in the tree."""
        first = text(self.rng, size * 4 // 5, kind)
        tenant = self.rng.randrange(self.tenants)
        self.tree.insert(first, tenant)
        return first + text(self.rng, size // 5, kind), tenant


Make = Callable[[], tuple[str, int]]


def ratio(tree: TextTree, make: Make, size: int, rounds: int) -> tuple[float, float]:
    """(walk + commit over orjson.loads, microseconds of the former): medians over rounds."""
    count = max(1, (64 << 10) // size)
    ratios = []
    times = []
    for _ in range(rounds):
        inputs = [make() for _ in range(count)]
        bodies = [body(prompt) for prompt, _ in inputs]
        for data in bodies:
            hash(data)  # as after reading the request: in the cache
        start = perf_counter_ns()
        for data in bodies:
            orjson.loads(data)
        parsed = perf_counter_ns()
        for prompt, tenant in inputs:
            tree.insert(prompt, tenant)
        stored = perf_counter_ns()
        ratios.append((stored - parsed) / (parsed - start))
        times.append((stored - parsed) / count / 1000)
    return statistics.median(ratios), statistics.median(times)


def speed(units: int) -> None:
    """Sizes and kinds of prompts in a full tree."""
    for filling in (1 << 10, 4 << 10):
        full = Full(units, 16, filling)
        tree = full.tree
        state = layout(tree)
        reached = tree.memory - state["labels"] + state["labels reached"]
        print(f"\nfull of {filling >> 10} kB prompts: {tree.total:,} characters of 16 tenants,")
        print(f"{tree.nodes:,} nodes, {tree.attachments:,} attachments; bytes per character:")
        print(f"{reached / tree.total:.2f} used, {tree.memory / tree.total:.2f} reserved")
        print(f"{'walk + commit':37}{'of loads':>10}{'us':>10}")
        for size, rounds in SIZES:
            for name, made in (("new", full.new), ("extends a stored one", full.extended)):
                for kind in ("ascii", "latin", "cjk") if size == 32 << 10 else ("ascii",):

                    def make(
                        made: Callable[[int, str], tuple[str, int]] = made,
                        size: int = size,
                        kind: str = kind,
                    ) -> tuple[str, int]:
                        return made(size, kind)

                    share, micros = ratio(tree, make, size, rounds)
                    print(f"{size >> 10:5} kB {name:22}{kind:6}{share:9.2f}x{micros:10.2f}")


def tenants(units: int) -> None:
    """One prefix held by many: what the number of its holders costs."""
    print(f"\n{'5 kB, of which 4 kB are held by':37}{'of loads':>10}{'us':>10}")
    for count in (1, 16, 64, 256, 4096):
        full = Full(units, count, 4096)
        rng = full.rng
        tree = full.tree
        prefix = text(rng, 4096)
        for tenant in range(count):
            tree.insert(prefix + text(rng, 100), tenant)

        def held(full: Full = full, prefix: str = prefix) -> tuple[str, int]:
            return prefix + text(full.rng, 1024), full.rng.randrange(full.tenants)

        share, micros = ratio(tree, held, 5 << 10, 60)
        print(f"{count:5} {'tenants, one sends again':31}{share:9.2f}x{micros:10.2f}")
        newcomers = iter(range(count, 1 << 20))

        def new(full: Full = full, prefix: str = prefix) -> tuple[str, int]:
            return prefix + text(full.rng, 1024), next(newcomers)  # noqa: B023

        share, micros = ratio(tree, new, 5 << 10, 5)
        print(f"{count:5} {'tenants, a new one comes':31}{share:9.2f}x{micros:10.2f}")
        share, micros = ratio(
            tree,
            lambda prefix=prefix, rng=rng: (  # type: ignore[misc]
                prefix[: rng.randrange(1, 4096)] + "?",
                1,
            ),
            5 << 10,
            1,
        )
        print(f"{count:5} {'tenants, each time a split':31}{'':10}{micros:10.2f}")


def churn(units: int) -> None:
    """Memory over many generations of prompts of all sizes."""
    units //= 4
    rng = random.Random(4)
    tree = TextTree(units)
    sizes = []
    pool = [text(rng, 256 << 10) for _ in range(32)]
    gc.collect()
    before = resident()
    done = 0
    generation = 0
    recent: list[tuple[str, int]] = []
    print("\nchurn: prompts of 30 to 60,000 characters, a third of them longer ones of before")
    while generation < 12:
        length = int(30 * 2 ** rng.uniform(0, 11))
        start = rng.randrange((256 << 10) - length)
        prompt = f"{done:x}" + rng.choice(pool)[start : start + length]
        tenant = rng.randrange(64)
        if recent and rng.random() < 0.33:
            earlier, tenant = rng.choice(recent)
            prompt = earlier + prompt
        tree.insert(prompt, tenant)
        recent.append((prompt[: 60 << 10], tenant))
        if len(recent) > 500:
            del recent[:250]
        done += length
        if done > units * (generation + 1):
            generation += 1
            sizes.append(resident() - before)
    print(f"resident: {[round(size / 1e6, 1) for size in sizes]} MB by generation")
    state = layout(tree)
    lost = state["labels reached"] / state["labels used"] - 1
    print(f"{tree.nodes:,} nodes; {lost:.1%} of the text arena lie between blocks")


def tokens(units: int) -> None:
    """The token tree: lists and arrays of ids."""
    rng = random.Random(5)
    units //= 4
    tree = TokenTree(units)
    stored = 0
    while stored < units * 5 // 4:
        tree.insert(array("I", rng.choices(range(150_000), k=512)), rng.randrange(16))
        stored += 512
    print(f"\n{'ids, over loads of {input_ids}':37}{'of loads':>10}{'us':>10}")
    for size in (512, 8192):
        for name in ("list", "array"):
            ratios, times = [], []
            for _ in range(30):
                ids = [rng.choices(range(150_000), k=size) for _ in range(max(1, 8192 // size))]
                bodies = [orjson.dumps({"input_ids": one}) for one in ids]
                given = [one if name == "list" else array("I", one) for one in ids]
                start = perf_counter_ns()
                for data in bodies:
                    orjson.loads(data)
                parsed = perf_counter_ns()
                for one in given:
                    tree.insert(one, 3)
                stored = perf_counter_ns()
                ratios.append((stored - parsed) / (parsed - start))
                times.append((stored - parsed) / len(ids) / 1000)
            share, micros = statistics.median(ratios), statistics.median(times)
            print(f"{size:5} ids, {name:26}{share:9.2f}x{micros:10.2f}")
    print(f"{tree.memory / tree.total:.2f} bytes per token of 512-token prompts")


def main() -> None:
    """Entry point."""
    parts = {"speed": speed, "tenants": tenants, "churn": churn, "tokens": tokens}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 Mi characters, not 64")
    parser.add_argument("--only", choices=parts)
    options = parser.parse_args()
    for name, part in parts.items():
        if options.only in (None, name):
            part((4 if options.quick else 64) << 20)


if __name__ == "__main__":
    main()
