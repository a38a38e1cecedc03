"""Reads a worker as the API shows it. Whatever is missing or of another type has a stand-in: a
console of another version than the gateway still shows the rest.
"""

from __future__ import annotations

from typing import Any

from smg.console.text import UNKNOWN, plain

Info = dict[str, Any]
ANY_MODEL = "any"


def without_key(info: Info) -> Info:
    """A worker without its key. The API never shows one; should it, it ends here."""
    return {name: value for name, value in info.items() if name != "api_key"}


def model_name(info: Info) -> str:
    """The model of a worker; of several the first and how many more."""
    cards = [card for card in info.get("models") or () if isinstance(card, dict)]
    name = info.get("model_id") or (cards[0].get("id") if cards else None)
    if not name:
        return ANY_MODEL
    more = f" +{len(cards) - 1}" if len(cards) > 1 else ""
    return plain(str(name)) + more


def status_of(info: Info) -> str:
    """`ready`, `pending`, `not_ready`, `failed`, `draining`."""
    return plain(str(info.get("status", UNKNOWN)))


def load_of(info: Info) -> int:
    """Requests in flight through the gateway."""
    load = info.get("load")
    return load if isinstance(load, int) else 0


def real(info: Info, name: str) -> float | None:
    """A number of a worker; None when it is missing or no number."""
    value = info.get(name)
    return float(value) if isinstance(value, (int, float)) else None
