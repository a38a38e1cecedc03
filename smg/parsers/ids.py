"""Ids of tool calls, in the form that the model's chat template expects back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

#: from a call's index in this answer and its name to its id
MakeId = Callable[[int, str], str]


def call_id(index: int, name: str) -> str:
    """`call_` and 24 hexadecimal digits of a time-ordered UUID."""
    stamp = (time.time_ns() // 1_000_000) & 0xFFFF_FFFF_FFFF
    return f"call_{stamp:012x}7{os.urandom(6).hex()[:11]}"


def ids_for(model: str, history: int = 0) -> MakeId:
    """How calls of `model` are named; `history`: tool calls in the conversation so far."""
    lowered = model.lower()
    if "kimi" not in lowered:
        return call_id
    prefix, mark = ("", "_") if "k3" in lowered else ("functions.", ":")
    return lambda index, name: f"{prefix}{name}{mark}{history + index}"
