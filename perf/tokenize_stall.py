"""How long the event loop stands still while long prompts are tokenized.

`python -m perf.tokenize_stall [--prompts 64] [--size 100000] [--model DIR]`

A gateway runs in this process, on uvloop, with a timer of one millisecond beside it; another
process sends the prompts, first each in a request of its own, all at once, then all in one. What
is reported is how late the timer was at worst. `--check` exits 1 above 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request

import uvloop

from perf.micro.bench_tokenizers import default_source, words
from smg.app.build import Gateway
from smg.config.settings import RouterConfig

LIMIT_MS = 10.0
TICK = 0.001


class Lateness:
    """A timer that notes how late it is.

    `worst` as it was; `own` without the time in which this thread could have run but had no
    processor (Linux tells), which is what other programs of the machine are to blame for. Seconds.
    """

    def __init__(self) -> None:
        self.worst = self.own = 0.0
        self.over = 0
        self._loop = asyncio.get_running_loop()
        try:
            self._waits: int | None = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._waits = None
        self._begin()

    def _begin(self) -> None:
        self._waited = self._waiting()
        # Not the loop's own time: it is read once per turn, before the other callbacks of the turn.
        self._due = time.monotonic() + TICK
        self._handle = self._loop.call_later(TICK, self._fire)

    def _waiting(self) -> float:
        """Seconds that this thread has waited for a processor."""
        if self._waits is None:
            return 0.0
        return int(os.pread(self._waits, 100, 0).split()[1]) / 1e9

    def _fire(self) -> None:
        late = time.monotonic() - self._due
        own = max(0.0, late - (self._waiting() - self._waited))
        self.worst = max(self.worst, late)
        self.own = max(self.own, own)
        self.over += own > LIMIT_MS / 1000
        self._begin()

    def stop(self) -> str:
        """What was measured, in words."""
        self._handle.cancel()
        if self._waits is not None:
            os.close(self._waits)
        return (
            f"worst {self.own * 1000:6.1f} ms, {self.over} above {LIMIT_MS:.0f} ms"
            f" ({self.worst * 1000:.1f} ms with the wait for a processor)"
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
    gc.collect()
    gc.freeze()  # as a gateway does that runs for itself
    print(f"{'loading the tokenizer':<22} {loading.stop()}, not judged")
    idle = Lateness()
    await asyncio.sleep(3)
    print(f"{'nothing, for 3 s':<22} {idle.stop()}, not judged")
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
            lateness = Lateness()  # only now: forking takes the loop a while
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
    parser.add_argument("--check", action="store_true", help="exit 1 above the limit")
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client(options.client, options.shape, options.prompts, options.size)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{os.cpu_count()} processors, load {load:.1f}, {subprocess.list2cmdline(sys.argv[1:])}")
    worst = uvloop.run(measure(options))
    if options.check and worst > LIMIT_MS:
        sys.exit(f"the loop stood still for {worst:.1f} ms, more than {LIMIT_MS:.0f} ms")


if __name__ == "__main__":
    main()
