from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.observability.metrics import DURATION_BUCKETS, Block, BoundedLabels, Registry


def test_counter_and_gauge_keep_numbers():
    registry = Registry()
    counter = registry.counter("a_total", "A.").labels()
    gauge = registry.gauge("b", "B.").labels()
    counter.inc()
    counter.inc(2.5)
    gauge.set(7.0)
    gauge.inc(2.0)
    gauge.dec()
    assert (counter.value, gauge.value) == (3.5, 8.0)


def test_labels_are_cached_and_removed():
    family = Registry().counter("a_total", "A.", ("x", "y"))
    child = family.labels("1", "2")
    assert family.labels("1", "2") is child
    family.remove("1", "2")
    family.remove("never", "there")
    assert family.children() == {}
    assert family.labels("1", "2") is not child


def test_a_removed_child_still_held_does_not_touch_its_successor():
    family = Registry().gauge("a", "A.", ("x",))
    held = family.labels("1")
    family.remove("1")
    successor = family.labels("1")
    held.inc(5.0)
    assert (held.value, successor.value) == (5.0, 0.0)


def test_slots_are_used_again_and_begin_at_zero():
    block = Block()
    family = Registry(block).histogram("h", "H.", ("x",), (1.0, 2.0))
    for index in range(3 * Block.SEGMENT_SLOTS):
        family.labels(str(index)).observe(1.5)
        family.remove(str(index))
    assert family.labels("last").buckets == [0.0, 0.0, 0.0]
    assert block._next == 4


def test_more_children_than_one_segment_holds():
    block = Block()
    block.SEGMENT_SLOTS = 8
    family = Registry(block).histogram("h", "H.", ("x",), (1.0, 2.0))
    wide = Registry(block).histogram("w", "W.", (), [float(bound) for bound in range(20)])
    for index in range(10):
        family.labels(str(index)).observe(index)
    wide.labels().observe(19.5)
    assert [child.sum for child in family.children().values()] == list(map(float, range(10)))
    assert wide.labels().buckets[-1] == 1.0


def test_label_mistakes_are_errors():
    family = Registry().counter("a_total", "A.", ("x",))
    with pytest.raises(ValueError, match="has labels"):
        family.labels()
    with pytest.raises(ValueError, match="has labels"):
        family.labels("1", "2")
    with pytest.raises(TypeError, match="must be str"):
        family.labels(1)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä"])
def test_bad_names(name: str):
    with pytest.raises(ValueError, match="bad metric name"):
        Registry().counter(name, "A.")


@pytest.mark.parametrize("labels", [("a-b",), ("__x",), ("a", "a"), ("1",)])
def test_bad_label_names(labels: tuple[str, ...]):
    with pytest.raises(ValueError, match="bad label names"):
        Registry().counter("a_total", "A.", labels)


@pytest.mark.parametrize("buckets", [(), (1.0, 1.0), (2.0, 1.0), (math.nan,), (math.inf,)])
def test_bad_buckets(buckets: tuple[float, ...]):
    with pytest.raises(ValueError, match="finite and rising"):
        Registry().histogram("h", "H.", buckets=buckets)


def test_le_is_reserved():
    with pytest.raises(ValueError, match="le"):
        Registry().histogram("h", "H.", ("le",))


def test_the_same_declaration_gives_the_same_family():
    registry = Registry()
    first = registry.histogram("h", "H.", ("x",), (1, 2, math.inf))
    assert registry.histogram("h", "H.", ("x",), (1.0, 2.0)) is first
    for declare in (
        lambda: registry.histogram("h", "H.", ("x",), (1.0, 3.0)),
        lambda: registry.histogram("h", "H.", ("y",), (1.0, 2.0)),
        lambda: registry.gauge("h", "H.", ("x",)),
    ):
        with pytest.raises(ValueError, match="is registered"):
            declare()


def test_default_buckets():
    assert len(DURATION_BUCKETS) == 29
    assert Registry().histogram("h", "H.").bounds == DURATION_BUCKETS


@given(st.lists(st.floats(0, 10_000)))
def test_histogram_counts_like_a_list(values: list[float]):
    histogram = Registry().histogram("h", "H.").labels()
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(math.fsum(values))
    cumulative = 0.0
    for bound, count in zip((*DURATION_BUCKETS, math.inf), histogram.buckets, strict=True):
        cumulative += count
        assert cumulative == sum(value <= bound for value in values)


def test_bounded_labels_keep_the_first_values():
    bounded = BoundedLabels()
    models = [f"model-{index}" for index in range(2000)]
    admitted = [bounded.admit(model) for model in models]
    assert admitted[:1024] == models[:1024]
    assert set(admitted[1024:]) == {"other"}
    assert bounded.admit("model-0") == "model-0"
    assert len(bounded) == 1024


def test_overlong_labels_take_no_place():
    bounded = BoundedLabels(cap=1)
    assert bounded.admit("x" * 257) == "other"
    assert bounded.admit("x" * 256) == "x" * 256
