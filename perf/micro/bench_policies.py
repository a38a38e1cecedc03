"""What a decision costs: every policy over fleets of 1 to 4,096 workers, cache_aware over prompts.

`python -m perf.micro.bench_policies`. The unit of cache_aware is `orjson.loads` of the request's
body (six messages; the last column is a body with one), timed in turn with it, because absolute
times say little on a busy machine. Its tree is full (64 Mi characters, from conversations of 2 to
16 kB), so every new prompt drives out an old one.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter

import orjson

from smg.policies.base import Policy, PolicyContext
from smg.policies.cache_aware import CacheAware
from smg.policies.registry import POLICIES, create
from smg.workers import Worker

FLEETS = (1, 16, 64, 256, 4096)
SIZES = (1 << 10, 32 << 10, 256 << 10, 1 << 20)
TEXT = ("The quick brown fox said 'no' and jumped over 13 lazy dogs, twice.\n" * 20_000)[: 1 << 20]


class View:
    """A request as policies see it."""

    model = "m"
    headers: list[tuple[bytes, bytes]]

    def __init__(self, text: str, key: bytes | None = None) -> None:
        self.headers = []
        self.ticket = 0
        self._text = text
        self._key = key

    def text(self) -> str:
        return self._text

    def tokens(self) -> Sequence[int] | None:
        return None

    def routing_key(self) -> bytes | None:
        return self._key

    def request_key(self) -> bytes | None:
        return None


def fleet(policy: Policy, count: int) -> tuple[Worker, ...]:
    workers = tuple(Worker(f"http://10.{n >> 8}.{n & 255}.1:8000") for n in range(count))
    for worker in workers:
        worker.load = random.randrange(8)
        policy.worker_added(worker)
    return workers


def prompt(chance: random.Random, size: int) -> str:
    """New from its first character on, like a conversation without a system prompt."""
    begin = chance.randrange(64)
    return f"{chance.getrandbits(64):016x} {TEXT[begin : begin + size - 17]}"


def body(text: str, messages: int) -> bytes:
    """A chat request with that text in so many messages."""
    step = len(text) // messages + 1
    roles = ("user", "assistant")
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    said = [{"role": roles[n & 1], "content": piece} for n, piece in enumerate(pieces)]
    return orjson.dumps({"model": "m", "messages": said, "stream": True, "max_tokens": 256})


def timed(action: Callable[[], object]) -> float:
    began = perf_counter()
    action()
    return perf_counter() - began


def decide(policy: Policy, workers: tuple[Worker, ...], view: View) -> float:
    """Seconds of one decision; the worker answers at once."""
    began = perf_counter()
    worker = policy.select(workers, view)
    took = perf_counter() - began
    assert worker is not None
    policy.first_byte(worker, view)
    policy.ended(worker, view)
    return took


def cache_aware(count: int, rounds: int) -> None:
    """One table row per prompt size: median decision over median `orjson.loads`."""
    chance = random.Random(1)
    policy = CacheAware.create(PolicyContext())
    workers = fleet(policy, count)
    cap = policy._text.tree.max_size
    filled = 0
    while filled < cap * 1.05:
        size = chance.choice((2000, 4000, 8000, 16000))
        decide(policy, workers, View(prompt(chance, size)))
        filled += size
    for size in SIZES:
        names = ("loads", "new", "turn", "repeat", "shared", "1 message")
        times: dict[str, list[float]] = {name: [] for name in names}
        system = prompt(chance, size // 2)
        for _ in range(max(20, rounds * 1024 // size)):
            first = prompt(chance, size * 3 // 4)
            whole = first + prompt(chance, size - len(first))
            branch = system + prompt(chance, size - len(system))
            for messages, name in ((1, "1 message"), (6, "loads")):
                raw = body(whole, messages)
                times[name].append(timed(lambda raw=raw: orjson.loads(raw)))  # type: ignore[misc]
            times["new"].append(decide(policy, workers, View(prompt(chance, size))))
            decide(policy, workers, View(first))
            times["turn"].append(decide(policy, workers, View(whole)))
            times["repeat"].append(decide(policy, workers, View(whole)))
            times["shared"].append(decide(policy, workers, View(branch)))
        medians = {name: statistics.median(values) for name, values in times.items()}
        loads = medians.pop("loads")
        ratios = "".join(f"{value / loads:10.2f}" for value in medians.values())
        print(f"{count:7} {size >> 10:7} kB {loads * 1e6:9.1f} us {ratios}", flush=True)


def others(rounds: int) -> None:
    """Microseconds per decision of every policy."""
    names = [name for name in POLICIES if name not in ("bucket", "passthrough")]
    print(f"{'us per decision':22}" + "".join(f"{count:>9}" for count in FLEETS) + "  workers")
    for name in names:
        row = []
        for count in FLEETS:
            policy = create(name, PolicyContext())
            workers = fleet(policy, count)
            chance = random.Random(2)
            views = [View(prompt(chance, 1024), b"key-%d" % n) for n in range(rounds)]
            row.append(statistics.median(decide(policy, workers, view) for view in views))
        print(f"{name:22}" + "".join(f"{value * 1e6:9.2f}" for value in row), flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--fleets", default="16,64,4096", help="of the cache_aware tables")
    options = parser.parse_args()
    print("cache_aware: decision over orjson.loads of the body, full tree")
    print(f"{'workers':>7} {'prompt':>10} {'loads':>12} " + "".join(
        f"{name:>10}" for name in ("new", "turn", "repeat", "shared", "1 message")))  # fmt: skip
    for count in map(int, options.fleets.split(",")):
        cache_aware(count, options.rounds)
    print()
    others(options.rounds)


if __name__ == "__main__":
    main()
