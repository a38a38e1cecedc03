"""Simulated prefill and decode workers in one process, timed as `perf.routing.pairs.model` is:

`python -m perf.routing.pairs.fleet --prefill-ports 9001,9002 --bootstrap-ports 8998,8999
--decode-ports 9003,9004 ...`. All other options are those of `python -m smg.sim`; speeds and caches
of the two roles are given as JSON by `--pairs`, see `Timing`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from perf.routing.fleet import Roomy, numbers, serve
from perf.routing.model import missing_tokens
from smg.sim.engine import Engine
from smg.sim.pairs import PairEngine
from smg.sim.settings import SimSettings, parse

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.sim.answers import Answer
    from smg.sim.faults import Fault


@dataclass(frozen=True)
class Timing:
    """What the simulated engine has no setting for. `places` and `cache_blocks` are decode's;
    `transfer_seconds` is per token of prompt.
    """

    slowdown: float
    transfer_seconds: float
    cache_blocks: int
    places: int


class PrefillEngine(Roomy, PairEngine):
    """As simulated."""


class DecodeEngine(Roomy, PairEngine):
    """Takes KV caches over a link, one after the other, and speaks slower the more it speaks."""

    _slowdown = 0.0
    _alone = 0.0

    def __init__(
        self, settings: SimSettings, loop: asyncio.AbstractEventLoop, timing: Timing
    ) -> None:
        super().__init__(settings, loop)
        self._slowdown = timing.slowdown
        self._transfer_seconds = timing.transfer_seconds
        self._link_free = 0.0

    @property
    def token_latency(self) -> float:
        """Seconds until the next token of an answer: read anew for each."""
        return self._alone * (1 + self._slowdown * max(0, len(self.jobs) - 1))

    @token_latency.setter
    def token_latency(self, alone: float) -> None:
        self._alone = alone

    def _start(
        self, exchange: Exchange, answer: Answer, fault: Fault | None, *, fetched: bool = False
    ) -> None:
        start = partial(super()._start, exchange, answer, fault, fetched=fetched)
        if not fetched:
            start()
            return
        # Nobody leaves while the blocks come: the users here are patient.
        missing = missing_tokens(self.cache, answer.prompt)
        begin = max(self.loop.time(), self._link_free)
        self._link_free = begin + missing * self._transfer_seconds
        self.loop.call_at(self._link_free, start)


def engines(
    settings: SimSettings,
    timing: Timing,
    prefills: Sequence[tuple[int, int]],
    decodes: Sequence[int],
    loop: asyncio.AbstractEventLoop,
) -> list[Engine]:
    """`prefills`: port and bootstrap port of each; `decodes`: ports."""
    reading = replace(settings, role="prefill", owned_by=settings.engine)
    speaking = replace(
        settings,
        role="decode",
        owned_by=settings.engine,
        cache_blocks=timing.cache_blocks,
        max_running=timing.places,
    )
    return [
        *(
            PrefillEngine(replace(reading, port=port, bootstrap_port=bootstrap), loop)
            for port, bootstrap in prefills
        ),
        *(DecodeEngine(replace(speaking, port=port), loop, timing) for port in decodes),
    ]


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in ("--prefill-ports", "--bootstrap-ports", "--decode-ports"):
        parser.add_argument(name, type=numbers, required=True)
    parser.add_argument("--pairs", type=lambda text: Timing(**json.loads(text)), required=True)
    options, rest = parser.parse_known_args(argv)
    prefills = list(zip(options.prefill_ports, options.bootstrap_ports, strict=True))
    make = partial(engines, parse(rest), options.pairs, prefills, options.decode_ports)
    uvloop.run(serve(make))


if __name__ == "__main__":
    main(sys.argv[1:])
