"""Our own writer of the Prometheus text format 0.0.4.

Runs on the thread that answers scrapes while the event loop goes on counting, so everything is read
in steps that no other thread can come between. Rendering is cut into parts by time: a thread that
holds the interpreter for the whole of a thousand histograms would stop the loop for as long.
Families without series are left out, numbers take their shortest form.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from time import perf_counter

from smg.observability.metrics import (
    AnyFamily,
    Histogram,
    HistogramFamily,
    Registry,
)

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger(__name__)


def number(value: float) -> str:
    """The shortest text that reads back as the same double."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if abs(value) < 1e16 and value == int(value):
        return str(int(value))
    return repr(value)


def escape_label(value: str) -> str:
    """A label value as it stands between the quotes."""
    if "\\" in value or "\n" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def escape_help(text: str) -> str:
    """A help text as it stands after HELP."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def render(registry: Registry) -> bytes:
    """The whole exposition at once; for threads and tests, not for the event loop."""
    return b"".join(render_parts(registry, math.inf))


def render_parts(registry: Registry, budget: float) -> Iterator[bytes]:
    """The exposition in pieces, each made of about `budget` seconds of work.

    Each child is read in one go, so a histogram is consistent in itself; families are read one
    after the other and may be apart by the time between two parts. What is created in a family
    that has begun appears in the next scrape. For any one thread.
    """
    yield from _family_parts(registry, budget)
    for source in registry.texts():
        yield _text(source)


def _text(source: Callable[[], bytes]) -> bytes:
    try:
        return source()
    except Exception:
        log.exception("a source of metrics failed")
        return b""


def _family_parts(registry: Registry, budget: float) -> Iterator[bytes]:
    started = perf_counter()
    pending: list[str] = []
    for family in registry.families():
        header = f"# HELP {family.name} {escape_help(family.help)}\n"
        header += f"# TYPE {family.name} {family.kind}\n"
        for lines in _family(family):
            pending.append(header)
            pending.append(lines)
            header = ""
            if perf_counter() - started >= budget:
                yield _encode(pending)
                pending = []
                started = perf_counter()
    if pending:
        yield _encode(pending)


def _encode(pieces: list[str]) -> bytes:
    # Lone surrogates can come from undecodable input; a scrape must not fail for them.
    return "".join(pieces).encode("utf-8", "replace")


def _family(family: AnyFamily) -> Iterator[str]:
    if isinstance(family, HistogramFamily):
        bounds = [f'le="{number(bound)}"}} ' for bound in (*family.bounds, math.inf)]
        for values, histogram in family.children().items():
            yield _histogram(family.name, _pairs(family, values), bounds, histogram)
        return
    tracked = family.tracked()
    for values, child in family.children().items():
        if values not in tracked:
            yield _sample(family.name, _pairs(family, values), child.value)
    for values, function in tracked.items():
        value = _read(family.name, function)
        if value is not None:
            yield _sample(family.name, _pairs(family, values), value)


def _read(name: str, function: Callable[[], float]) -> float | None:
    try:
        return float(function())
    except Exception:
        log.exception("the function behind gauge %s failed", name)
        return None


def _pairs(family: AnyFamily, values: tuple[str, ...]) -> str:
    return ",".join(
        f'{name}="{escape_label(value)}"'
        for name, value in zip(family.label_names, values, strict=True)
    )


def _sample(name: str, pairs: str, value: float) -> str:
    return f"{name}{{{pairs}}} {number(value)}\n" if pairs else f"{name} {number(value)}\n"


def _histogram(name: str, pairs: str, bounds: list[str], histogram: Histogram) -> str:
    *buckets, total = histogram.snapshot()
    cumulative = accumulate(map(int, buckets))
    prefix = f"{name}_bucket{{{pairs}," if pairs else f"{name}_bucket{{"
    count = 0
    lines = []
    for bound, count in zip(bounds, cumulative, strict=True):
        lines.append(f"{prefix}{bound}{count}\n")
    lines.append(_sample(f"{name}_sum", pairs, total))
    lines.append(_sample(f"{name}_count", pairs, float(count)))
    return "".join(lines)
