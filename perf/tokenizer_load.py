"""Which steps of loading a tokenizer keep the event loop waiting, and for how long.

`python -m perf.tokenizer_load [--model DIR] [--ranks FILE] [--runs 3]`

Each step runs on a thread while another ticks every half millisecond. A call into a library that
keeps the interpreter's lock stops the ticks for as long as it takes; that is the longest stop.
`processor` is the time that the step used, which says the same on a machine that has other things
to do. The least of some runs, in milliseconds.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from perf.micro.bench_tokenizers import default_source
from smg._speedups.detokenize import TokenTable
from smg.tokenization.boundaries import Cutter
from smg.tokenization.hf import HfEncoder
from smg.tokenization.hf_steps import in_steps
from smg.tokenization.libraries import library
from smg.tokenization.loader import Source, load
from smg.tokenization.ranks import O200K_PATTERN, RanksEncoder, read_ranks
from smg.tokenization.split_check import splits_exactly
from smg.tokenization.token_table import token_table

TICK = 0.0005

Step = tuple[str, Callable[[], Any]]


class Ticks:
    """A thread that notes how long it could not run."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            started = time.perf_counter()
            time.sleep(TICK)
            self.longest = max(self.longest, time.perf_counter() - started - TICK)

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()


def json_steps(file: Path) -> Iterator[Step]:
    """A `tokenizer.json`, and what is made of it."""
    tokenizers = library("tokenizers")
    raw = file.read_bytes()
    yield "the library's own reader", lambda: tokenizers.Tokenizer.from_buffer(raw)
    yield "the same in steps", lambda: in_steps(raw)
    encoder = HfEncoder.from_file(file)
    yield from common_steps(encoder)


def ranks_steps(file: Path) -> Iterator[Step]:
    """A file of ranks, and what is made of it."""
    ranks = read_ranks(file)
    yield "read_ranks", lambda: read_ranks(file)
    yield "tiktoken", lambda: RanksEncoder(ranks, [], O200K_PATTERN)
    yield from common_steps(RanksEncoder(ranks, [], O200K_PATTERN))


def common_steps(encoder: Any) -> Iterator[Step]:
    """What every kind of tokenizer goes through."""
    pieces = encoder.pieces()
    yield "pieces of all ids", encoder.pieces
    yield "table of them", lambda: TokenTable(pieces, encoder.special_ids())
    yield "table, compared", lambda: token_table(encoder)
    cutter = Cutter(encoder.added)
    yield "L1: pattern", lambda: Cutter(encoder.added)
    yield "L1: check", lambda: splits_exactly(encoder, cutter)


def measured(work: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Longest stop and time on the processor, in seconds."""
    best = [float("inf"), float("inf")]
    for _ in range(runs):
        ticks = Ticks()
        time.sleep(0.02)
        ticks.longest = 0.0
        used = time.thread_time()
        work()
        used = time.thread_time() - used
        time.sleep(0.005)
        ticks.stop()
        best = [min(best[0], ticks.longest), min(best[1], used)]
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a directory with a tokenizer.json (DeepSeek's)")
    parser.add_argument("--ranks", help="a file of ranks")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    source = options.model or default_source()
    file = Path(source)
    steps = list(json_steps(file / "tokenizer.json" if file.is_dir() else file))
    if options.ranks:
        steps += ranks_steps(Path(options.ranks))
    steps.append(("all of a load", lambda: load(Source(str(source)))))
    print(f"{'':<28} longest stop   processor (ms)")
    for name, work in steps:
        stop, used = measured(work, options.runs)
        print(f"{name:<28} {stop * 1000:12.1f} {used * 1000:11.1f}")


if __name__ == "__main__":
    main()
