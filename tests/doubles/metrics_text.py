"""Reads Prometheus text, so that tests can say `samples.value("smg_http_requests_total",
method="POST")`.

Our own few lines instead of prometheus_client's parser: a writer should not be checked by its
sibling.
"""

from __future__ import annotations

import re

_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)",?')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Samples:
    """All samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.rows: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = _SAMPLE.match(line)
                assert match, f"not a sample: {line!r}"
                labels = {name: _unescape(value) for name, value in _LABEL.findall(match[2] or "")}
                self.rows.append((match[1], labels, float(match[3])))

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of `name` whose labels include `labels`; 0 when there is none."""
        wanted = labels.items()
        return sum(
            value for key, have, value in self.rows if key == name and wanted <= have.items()
        )

    def labels(self, name: str) -> list[dict[str, str]]:
        """The label sets of a family."""
        return [have for key, have, _ in self.rows if key == name]

    def names(self) -> set[str]:
        """Every sample name."""
        return {key for key, _, _ in self.rows}


def _unescape(value: str) -> str:
    return re.sub(r"\\[\\\"n]", lambda match: _ESCAPES[match[0]], value)
