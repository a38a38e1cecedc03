"""How many data-parallel ranks an engine has (routing-reliability 12.2)."""

from __future__ import annotations

from smg.fleet.clock import Clock
from smg.fleet.metadata import SERVER_INFO, Questions
from smg.fleet.probe import Fetcher, Target


async def dp_size(fetcher: Fetcher, target: Target, clock: Clock) -> int:
    """`dp_size` of SGLang's server info; 0 if the worker does not tell."""
    questions = Questions(fetcher, target, clock)
    questions.begin_step()
    data = (await questions.ask_again(*SERVER_INFO)).data
    size = data.get("dp_size") if isinstance(data, dict) else None
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0
