"""Values as people read them. Pure functions; None, a value that is not known, is `-`."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

UNKNOWN = "-"
SHORT_ID = 8
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def plain(text: str) -> str:
    """`text` without what could move the cursor or turn the line round.

    Names of models and labels come from workers and from other people.
    """
    return "".join(char if char.isprintable() else json.dumps(char).strip('"') for char in text)


def short_id(worker_id: str) -> str:
    """The last eight characters: the first ones of a UUIDv7 are a time, alike for a whole fleet."""
    return plain(worker_id)[-SHORT_ID:]


def number(value: float | None) -> str:
    """Three digits that matter: `0.25`, `12.5`, `1.2k`, `34M`."""
    if value is None:
        return UNKNOWN
    for suffix in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return _digits(value) + suffix
        value /= 1000
    return f"{value:.0f}T"


def _digits(value: float) -> str:
    if value == int(value):
        return str(int(value))
    decimals = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 9.95 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(ratio: float | None) -> str:
    """A share from 0 to 1: `83%`, below ten `0.8%`."""
    if ratio is None:
        return UNKNOWN
    value = ratio * 100
    return f"{value:.1f}%" if 0 < value < 9.95 else f"{value:.0f}%"


def seconds(value: float | None) -> str:
    """A short time: `480us`, `120ms`, `1.25s`."""
    if value is None:
        return UNKNOWN
    if value < 0.001:
        return f"{value * 1e6:.0f}us"
    if value < 1:
        return f"{value * 1e3:.3g}ms"
    return f"{value:.3g}s" if value < 1000 else f"{value:.0f}s"


def age(value: float | None) -> str:
    """A long time in seconds, the two largest units: `45s`, `12m 05s`, `2h 05m`, `3d 04h`."""
    if value is None:
        return UNKNOWN
    total = max(0, int(value))
    if total < _MINUTE:
        return f"{total}s"
    if total < _HOUR:
        return f"{total // _MINUTE}m {total % _MINUTE:02}s"
    if total < _DAY:
        return f"{total // _HOUR}h {total % _HOUR // _MINUTE:02}m"
    return f"{total // _DAY}d {total % _DAY // _HOUR:02}h"


def same_url(left: str, right: str) -> bool:
    """Whether two spellings name one worker: case of the host, `/` and `/v1` at the end."""
    return _canonical(left) == _canonical(right)


def _canonical(url: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ("", url, "")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return (parts.scheme.lower(), parts.netloc.lower(), path)
