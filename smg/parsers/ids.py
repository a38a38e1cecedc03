"""Ids of tool calls, in the form that the model's chat template expects back."""

from __future__ import annotations

import os
from collections.abc import Callable

from smg._speedups.clock import wall_clock

_DIGITS = 11  # random ones of an id
_BATCH = 128  # drawn at once: asking the kernel costs more than all the rest of an id
_pool: list[str] = []

# A forked child must not hand out its parent's ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)

#: from a call's index in this answer and its name to its id
MakeId = Callable[[int, str], str]


def call_id(index: int, name: str) -> str:
    """`call_` and 24 hexadecimal digits of a time-ordered UUID."""
    try:
        digits = _pool.pop()
    except IndexError:
        # Local first: another thread may empty the shared list between two statements.
        drawn = os.urandom(_BATCH * _DIGITS // 2).hex()
        digits, *rest = [drawn[at : at + _DIGITS] for at in range(0, _BATCH * _DIGITS, _DIGITS)]
        _pool.extend(rest)
    stamp = int(wall_clock() * 1000)  # milliseconds: 12 digits hold them for 8,000 years yet
    return f"call_{stamp:012x}7{digits}"


def ids_for(model: str, history: int = 0) -> MakeId:
    """How calls of `model` are named; `history`: tool calls in the conversation so far."""
    lowered = model.lower()
    if "kimi" not in lowered:
        return call_id
    prefix, mark = ("", "_") if "k3" in lowered else ("functions.", ":")
    return lambda index, name: f"{prefix}{name}{mark}{history + index}"
