"""Merges the /metrics texts of workers into the one answer of GET /engine_metrics.

Pure: who scrapes, how often and with which key is someone else's business. Rules: operations 1.6.
Parsing costs about 10 us a line, so call `merge` from a thread, with a `turn` that lets other
threads have the interpreter.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from smg.observability.exposition import escape_help, escape_label, number

ADDRESS = "worker_addr"
_LAST = ("le", "quantile")
_PLAIN_COUNTER = re.compile(r"^#[ \t]*TYPE[ \t]+(\S+)(?<!_total)[ \t]+counter\b", re.MULTILINE)

log = logging.getLogger(__name__)


class _Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: str


class _Family:
    """One family of the result, or of one worker's text."""

    def __init__(self, name: str, kind: str, help: str) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.samples: list[_Sample] = []

    def render(self, turn: Callable[[], None]) -> str:
        names = {name for sample in self.samples for name in sample.labels}
        common = sorted(names.difference(_LAST))
        lines = []
        if self.help:
            lines.append(f"# HELP {self.name} {escape_help(self.help)}\n")
        lines.append(f"# TYPE {self.name} {self.kind}\n")
        for sample in self.samples:
            # Missing labels are padded, so that all series of a family have the same names.
            pairs = [(name, sample.labels.get(name, "")) for name in common]
            pairs += [(name, sample.labels[name]) for name in _LAST if name in sample.labels]
            text = ",".join(f'{name}="{escape_label(value)}"' for name, value in pairs)
            lines.append(f"{sample.name}{{{text}}} {sample.value}\n")
            turn()
        return "".join(lines)


def merge(packs: Sequence[tuple[str, str]], turn: Callable[[], None] = lambda: None) -> bytes:
    """One exposition of `packs`, pairs of a worker's base URL and its metrics text. `turn` is
    called after every line.

    A text that does not parse is left out, as is a family whose type differs from that of an
    earlier worker; both with a warning. Nothing usable gives an empty result.
    """
    merged: dict[str, _Family] = {}
    for address, text in packs:
        try:
            families = _parse(address, text, turn)
        except Exception as error:  # the library raises whatever its splitting ran into
            log.warning("metrics of worker %s are skipped: %.200s", address, error)
            continue
        for family in families:
            known = merged.setdefault(family.name, family)
            if known.kind != family.kind:
                log.warning(
                    "metric %s of worker %s is skipped: it is a %s here and a %s elsewhere",
                    *(family.name, address, family.kind, known.kind),
                )
            elif known is not family:
                known.samples += family.samples
    rendered = [family.render(turn) for family in merged.values() if family.samples]
    return "\n".join(rendered).encode("utf-8", "replace")


def _parse(address: str, text: str, turn: Callable[[], None]) -> list[_Family]:
    from prometheus_client.parser import text_string_to_metric_families

    # The library gives every counter the suffix _total, whether the engine wrote it or not.
    plain_counters = set(_PLAIN_COUNTER.findall(text))
    families = []
    for metric in text_string_to_metric_families(text):
        suffixed = metric.type == "counter" and metric.name not in plain_counters
        name = f"{metric.name}_total" if suffixed else metric.name
        kind = "untyped" if metric.type == "unknown" else metric.type
        family = _Family(_own_name(name), kind, metric.documentation)
        for sample in metric.samples:
            sample_name = sample.name
            if metric.name in plain_counters:
                sample_name = sample_name.removesuffix("_total")
            labels = dict(sample.labels)
            if ADDRESS in labels:  # the worker is a gateway itself
                labels[f"exported_{ADDRESS}"] = labels[ADDRESS]
            labels[ADDRESS] = address
            family.samples.append(_Sample(_own_name(sample_name), labels, number(sample.value)))
            turn()
        families.append(family)
    return families


def _own_name(name: str) -> str:
    return name.replace(":", "_")
