"""The lint of an exposition finds what it is for."""

from __future__ import annotations

import pytest

from tests.doubles.exposition_lint import MOST_SERIES, lint

GOOD = """\
# HELP a_total A.
# TYPE a_total counter
a_total{x="1"} 3
a_total{x="q\\"\\\\\\n,}"} 4
# HELP h_seconds H.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 1
h_seconds_bucket{le="+Inf"} 2
h_seconds_sum 3
h_seconds_count 2
"""


def test_nothing_to_complain_about():
    assert lint(GOOD) == []
    assert lint("") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# HELP a_total A.\n", "", "no HELP"),
        ("# TYPE a_total counter\n", "", "no TYPE"),
        ("# HELP a_total A.", "# HELP a_total ", "says nothing"),
        ("counter\n", "count\n", "unknown type"),
        ("counter\n", "gauge\n", "is a gauge"),
        ("a_total", "a", "is a counter"),
        ('{x="1"} 3', '{x="1"} -3', "is -3"),
        ('{x="1"} 3\n', '{x="1"} 3\na_total{x="1"} 3\n', "twice"),
        ('{x="1"} 3', '{y="1"} 3', "other labels"),
        ('{x="1"} 3', '{x="1} 3', "read back"),
        ('{x="1"} 3', '{__x="1"} 3', "label __x"),
        ("h_seconds", "h_ms", "base unit"),
        ("h_seconds", "h_histogram_seconds", "names its type"),
        ('{le="+Inf"} 2', '{le="9"} 2', "buckets"),
        ('{le="0.5"} 1', '{le="0.5"} 3', "counts"),
        ("count 2\n", "count 3\n", "counts"),
        ("count 2\n", "count 2", "does not end"),
        ("count 2\n", 'count 2\na_total{x="2"} 1\n', "stand together"),
        ("count 2\n", "count 2\nnot a sample at all\n", "not a sample"),
    ],
)
def test_faults(old: str, new: str, fault: str):
    assert old in GOOD
    assert any(fault in found for found in lint(GOOD.replace(old, new)))


def test_a_label_without_bound():
    head = "# HELP g G.\n# TYPE g gauge\n"
    rows = [f'g{{client="{number}"}} 1\n' for number in range(MOST_SERIES + 1)]
    assert lint(head + "".join(rows[1:])) == []
    assert any("series" in fault for fault in lint(head + "".join(rows)))


def test_names_that_may_be():
    text = "# HELP g_ms G.\n# TYPE g_ms gauge\ng_ms 1\n"
    assert lint(text)
    assert lint(text, frozenset({"g_ms"})) == []
