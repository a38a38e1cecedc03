"""How long the event loop stands still while long prompts are tokenized.

`python -m perf.tokenize_stall [--prompts 64] [--size 100000] [--model DIR]`

A gateway runs in this process, on uvloop, with a timer of one millisecond beside it; another
process sends the prompts, first each in a request of its own, all at once, then all in one. What
is reported is how late the timer was. The control is the same with nothing to encode: other
processes keep all processors busy. `--check` exits 1 if the worst of the prompts is above 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from array import array
from collections.abc import Iterable

import uvloop

from perf.micro.bench_tokenizers import default_source, words
from smg.app.build import Gateway
from smg.app.process import settle
from smg.config.settings import RouterConfig
from smg.tokenization.pool import usable_cpus

LIMIT_MS = 10.0
TICK = 0.001


class _Waits:
    """How long a thread of this process has waited for a processor; 0 where nobody tells."""

    def __init__(self, thread: int) -> None:
        try:
            self._file: int | None = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
        except OSError:
            self._file = None

    def seconds(self) -> float:
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


def _sum(waits: Iterable[_Waits]) -> float:
    return sum(each.seconds() for each in waits)


class Lateness:
    """A timer that notes how late it is, in seconds.

    `worst` as it was; `own` without the time in which this thread could have run but had no
    processor (Linux tells), which is what other programs of the machine are to blame for; `least`
    also without the time in which one of `threads` had none: it may hold the interpreter's lock
    just then. The truth lies between the two.
    """

    def __init__(self, threads: Iterable[int] = ()) -> None:
        self.worst = self.own = self.least = 0.0
        self.all = array("d")  # `own` of every turn
        self._loop = asyncio.get_running_loop()
        self._mine = [_Waits(threading.get_native_id())]
        self._others = list(map(_Waits, threads))
        self._begin()

    def _begin(self) -> None:
        self._waited = _sum(self._mine), _sum(self._others)
        # Not the loop's own time: it is read once per turn, before the other callbacks of the turn.
        self._due = time.monotonic() + TICK
        self._handle = self._loop.call_later(TICK, self._fire)

    def _fire(self) -> None:
        late = time.monotonic() - self._due
        own = max(0.0, late - (_sum(self._mine) - self._waited[0]))
        least = max(0.0, own - (_sum(self._others) - self._waited[1]))
        self.worst = max(self.worst, late)
        self.own = max(self.own, own)
        self.least = max(self.least, least)
        self.all.append(own)
        self._begin()

    def stop(self) -> str:
        """What was measured, in words."""
        self._handle.cancel()
        for waits in self._mine + self._others:
            waits.close()
        ordered = sorted(self.all) or [0.0]
        nearly = ordered[int(len(ordered) * 0.999)]
        over = [sum(late > limit / 1000 for late in ordered) for limit in (5.0, LIMIT_MS)]
        return (
            f"99.9 %: {nearly * 1000:5.1f}, worst {self.own * 1000:5.1f} ms"
            f" (at least {self.least * 1000:.1f}; {self.worst * 1000:.1f} with the wait for a"
            f" processor), {over[0]} above 5 and {over[1]} above {LIMIT_MS:.0f} ms"
        )


def client(url: str, shape: str, prompts: int, size: int) -> None:
    """The other process: sends the prompts and checks the answers."""
    rng = random.Random(4)
    texts = [words(rng, size) for _ in range(prompts)]
    bodies = [texts] if shape == "batch" else [[text] for text in texts]
    failures: list[object] = []

    def send(body: bytes, expected: list[int]) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/v1/tokenize", body, headers)
        with urllib.request.urlopen(request, timeout=600) as answer:
            got = json.load(answer)
        if got["char_count"] != expected or list(map(len, got["tokens"])) != got["count"]:
            failures.append(got["count"])

    threads = [
        threading.Thread(
            target=send,
            args=(json.dumps({"model": "unknown", "prompt": b}).encode(), list(map(len, b))),
        )
        for b in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(bool(failures))


def burn(seconds: float) -> None:
    """The other processes of the control: nothing but work."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))


async def control(seconds: float) -> None:
    """Waits while all processors are busy elsewhere."""
    command = [sys.executable, "-m", "perf.tokenize_stall", "--burn", str(seconds)]
    burning = [await asyncio.create_subprocess_exec(*command) for _ in range(usable_cpus())]
    lateness = Lateness()
    for process in burning:
        await process.wait()
    print(f"{'control, nothing sent':<22} {lateness.stop()}, not judged")


async def measure(options: argparse.Namespace) -> float:
    config = RouterConfig(
        host="127.0.0.1",
        port=0,
        prometheus_host="127.0.0.1",
        prometheus_port=0,
        model_path=options.model or default_source(),
        tokenizer_cache_enable_l0=options.caches,
        tokenizer_cache_enable_l1=options.caches,
        shutdown_grace_period_secs=0,
    )
    gateway = Gateway(config)
    await gateway.start()
    registry = gateway.tokenizers.registry
    loading = Lateness()
    while not registry.entries():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    settle()  # as a gateway does that runs for itself
    print(f"{'loading the tokenizer':<22} {loading.stop()}, not judged")
    idle = Lateness()
    await asyncio.sleep(3)
    print(f"{'nothing, for 3 s':<22} {idle.stop()}, not judged")
    await control(options.control)
    pool = gateway.tokenizers.pool
    threads = set(await asyncio.gather(*[pool.run(threading.get_native_id) for _ in range(64)]))
    worst = 0.0
    url = f"http://127.0.0.1:{gateway.port}"
    for shape in ("single", "batch"):
        for _ in range(options.rounds):
            command = [
                sys.executable,
                "-m",
                "perf.tokenize_stall",
                "--client",
                url,
                "--shape",
                shape,
            ]
            command += ["--prompts", str(options.prompts), "--size", str(options.size)]
            process = await asyncio.create_subprocess_exec(*command)
            lateness = Lateness(threads)  # only now: forking takes the loop a while
            started = time.monotonic()
            code = await process.wait()
            took = time.monotonic() - started
            worst = max(worst, lateness.own * 1000)
            what = f"{options.prompts} prompts, {shape}"
            print(f"{what:<22} {lateness.stop()}, in {took:.1f} s{' FAILED' if code else ''}")
    await gateway.stop(0)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--size", type=int, default=100_000, help="characters of a prompt")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", help="a directory with a tokenizer (DeepSeek's)")
    parser.add_argument("--caches", action="store_true", help="with L0 and L1")
    parser.add_argument("--control", type=float, default=10.0, help="seconds of the control")
    parser.add_argument("--check", action="store_true", help="exit 1 above the limit")
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    parser.add_argument("--burn", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.burn:
        burn(options.burn)
        return
    if options.client:
        client(options.client, options.shape, options.prompts, options.size)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{os.cpu_count()} processors, load {load:.1f}, {subprocess.list2cmdline(sys.argv[1:])}")
    worst = uvloop.run(measure(options))
    if options.check and worst > LIMIT_MS:
        sys.exit(f"the loop stood still for {worst:.1f} ms, more than {LIMIT_MS:.0f} ms")


if __name__ == "__main__":
    main()
