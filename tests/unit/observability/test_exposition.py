from __future__ import annotations

import gc
import itertools
import logging
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from smg.observability import exposition
from smg.observability.exposition import (
    CONTENT_TYPE,
    number,
    render,
    render_parts,
)
from smg.observability.metrics import DURATION_BUCKETS, Registry
from smg.observability.process_metrics import install


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_content_type():
    assert CONTENT_TYPE == b"text/plain; version=0.0.4; charset=utf-8"


def test_exact_text():
    registry = Registry()
    registry.counter("a_total", "Counts\nthings \\ more.", ("x",)).labels('q"\\\n').inc(3)
    registry.gauge("unused", "Never written.", ("x",))
    histogram = registry.histogram("h_seconds", "H.", ("m",), (0.5, 1.0))
    for value in (0.5, 0.75, 2.0):
        histogram.labels("z").observe(value)
    registry.gauge("plain", "P.").labels().set(0.25)
    assert render(registry).decode() == (
        "# HELP a_total Counts\\nthings \\\\ more.\n"
        "# TYPE a_total counter\n"
        'a_total{x="q\\"\\\\\\n"} 3\n'
        "# HELP h_seconds H.\n"
        "# TYPE h_seconds histogram\n"
        'h_seconds_bucket{m="z",le="0.5"} 1\n'
        'h_seconds_bucket{m="z",le="1"} 2\n'
        'h_seconds_bucket{m="z",le="+Inf"} 3\n'
        'h_seconds_sum{m="z"} 3.25\n'
        'h_seconds_count{m="z"} 3\n'
        "# HELP plain P.\n"
        "# TYPE plain gauge\n"
        "plain 0.25\n"
    )


def test_histogram_without_labels():
    registry = Registry()
    registry.histogram("h", "H.", buckets=(1.0,)).labels().observe(3.0)
    got = samples(render(registry))
    assert got["h_bucket", (("le", "1"),)] == 0
    assert got["h_bucket", (("le", "+Inf"),)] == 1
    assert (got["h_sum", ()], got["h_count", ()]) == (3.0, 1.0)


@given(st.lists(st.text(), min_size=1, max_size=5, unique=True), st.floats(allow_nan=False))
def test_any_label_value_reads_back(values: list[str], amount: float):
    registry = Registry()
    family = registry.gauge("g", "G.", ("a", "b"))
    for value in values:
        family.labels(value, "fixed").set(amount)
    assert samples(render(registry)) == {
        ("g", (("a", value), ("b", "fixed"))): amount for value in values
    }


@given(st.floats())
def test_numbers_read_back(value: float):
    text = number(value)
    assert float(text) == value or (math.isnan(value) and text == "NaN")
    assert len(text) <= len(repr(value)) + 1  # + of +Inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (8.128902e06, "8128902"),
        (0.001, "0.001"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_shortest_numbers(value: float, text: str):
    assert number(value) == text


def test_lone_surrogates_do_not_break_a_scrape():
    registry = Registry()
    registry.gauge("g", "G.", ("a",)).labels("\ud800").set(1)
    assert render(registry).endswith(b'g{a="?"} 1\n')


def test_tracked_gauges_are_read_at_the_scrape(caplog: pytest.LogCaptureFixture):
    registry = Registry()
    load = 1
    family = registry.gauge("g", "G.", ("w",))
    family.track(("a",), lambda: load)
    family.track(("broken",), lambda: 1 / 0)
    family.labels("a").set(99)
    family.labels("b").set(5)
    load = 4
    with caplog.at_level(logging.ERROR):
        assert samples(render(registry)) == {("g", (("w", "a"),)): 4, ("g", (("w", "b"),)): 5}
    assert "gauge g failed" in caplog.text
    family.remove("a")
    assert ("g", (("w", "a"),)) not in samples(render(registry))


def thousand_histograms() -> Registry:
    registry = Registry()
    family = registry.histogram("h_seconds", "H.", ("model", "endpoint"), DURATION_BUCKETS)
    for index in range(1000):
        family.labels(f"model-{index}", "chat").observe(index / 7)
    return registry


def test_rendering_in_parts_gives_the_same_text():
    registry = thousand_histograms()
    parts = list(render_parts(registry, 0.0))
    assert len(parts) == 1000
    assert b"".join(parts) == render(registry)
    assert len(samples(b"".join(parts))) == 1000 * 32


def test_a_part_ends_when_its_budget_is_spent(monkeypatch: pytest.MonkeyPatch):
    # A clock by hand: a quarter of the budget per child, so a part holds four of them.
    clock = itertools.count(0, 0.25)
    monkeypatch.setattr(exposition, "perf_counter", lambda: next(clock))
    registry = thousand_histograms()
    sizes = [part.count(b"_sum{") for part in render_parts(registry, 1.0)]
    assert sizes == [4] * 250


def test_between_two_parts_nothing_of_a_fleet_is_kept_for_the_collector():
    # Objects that live while the thread sleeps grow old, and many of those bring a full collection.
    registry = thousand_histograms()
    gauge = registry.gauge("g", "G.", ("w",))
    tracked = registry.gauge("t", "T.", ("w",))
    for worker in map(str, range(1000)):
        gauge.labels(worker)
        tracked.track((worker,), lambda: 1.0)
    parts = render_parts(registry, 0.0)
    gc.collect()
    gc.disable()
    try:
        kept = [
            len(gc.get_objects(generation=0))
            for number, _ in enumerate(parts)
            if number % 1000 == 500  # in the middle of each family
        ]
    finally:
        gc.enable()
    assert len(kept) == 3
    assert max(kept) < 500


def test_series_removed_between_parts():
    registry = Registry()
    family = registry.gauge("g", "G.", ("w",))
    for worker in "abc":
        family.labels(worker).set(1)
    parts = render_parts(registry, 0.0)
    first = next(parts)
    family.remove("b")
    family.labels("d")
    assert len(samples(first + b"".join(parts))) == 3


def test_a_scrape_reads_while_another_thread_counts():
    registry = Registry()
    family = registry.histogram("h", "H.", ("n",), (1.0, 2.0))
    child = family.labels("0")
    running = True

    def count() -> None:
        number = 0
        while running:
            child.observe(1.0)
            number += 1
            family.labels(str(number % 500)).observe(2.0)
            family.remove(str((number + 250) % 499 + 1))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(20):
            got = samples(b"".join(render_parts(registry, 0.0005)))
            assert got["h_sum", (("n", "0"),)] > 0
            for (name, labels), value in got.items():
                if name == "h_count":
                    assert value == got["h_bucket", (("le", "+Inf"), *labels)]
    finally:
        running = False
        thread.join()


def test_process_metrics_are_appended():
    registry = Registry()
    registry.gauge("g", "G.").labels().set(1)
    install(registry)
    registry.add_text(lambda: 1 / 0)
    names = {name for name, _ in samples(render(registry))}
    assert {"g", "process_cpu_seconds_total", "process_resident_memory_bytes"} <= names
    assert {"python_info", "python_gc_collections_total"} <= names
    assert not any(name.endswith("_created") for name in names)
