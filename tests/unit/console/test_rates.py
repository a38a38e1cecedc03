"""Rates from two scrapes, whatever these contain."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.console.rates import (
    STARTED,
    Scrape,
    divided,
    increase,
    increases,
    parse,
    per_second,
    quantile,
    share,
    window,
)

Series = dict[frozenset[tuple[str, str]], float]


def scrape(at: float = 0.0, /, **values: float) -> Scrape:
    """One series without labels for each name."""
    return Scrape(at, {name: {frozenset(): value} for name, value in values.items()})


def histogram(at: float, **counts: float) -> Scrape:
    """`t_bucket` series; `le_0_5=3` stands for le="0.5"."""
    series = {}
    for name, count in counts.items():
        bound = name.removeprefix("le_").replace("_", ".").replace("inf", "+Inf")
        series[frozenset({("le", bound)})] = count
    return Scrape(at, {"t_bucket": series})


def test_parse():
    text = (
        "# HELP a_total A counter.\n# TYPE a_total counter\n"
        'a_total{model="x\\"y",path="/v1"} 3\n'
        "b 1.5\nc NaN\nd +Inf\n"
        '# TYPE t histogram\nt_bucket{le="+Inf"} 2\nt_sum 1\nt_count 2\n'
    )
    found = parse(text, 7.0)
    assert found.at == 7.0
    assert found.series["a_total"] == {frozenset({("model", 'x"y'), ("path", "/v1")}): 3.0}
    assert found.total("b") == 1.5
    assert found.has("t_bucket")
    assert not found.has("c")
    assert not found.has("d")
    assert found.label("a_total", "path") == "/v1"
    assert found.label("a_total", "nothing") is None
    assert found.total("nothing") is None
    with pytest.raises(ValueError, match=r"\S"):
        parse("<html>this is something else</html>", 0)


def test_the_usual_case():
    before, after = scrape(10.0, a=100, errors=2), scrape(14.0, a=120, errors=3)
    assert per_second(before, after, "a") == 5.0
    assert share(before, after, "errors", "a") == 0.05


def test_a_counter_that_was_started_anew():
    assert increase(scrape(a=100), scrape(a=7), "a") == 7


def test_a_restart_is_seen_even_when_counters_are_higher_than_before():
    before, after = scrape(a=5, **{STARTED: 1000.0}), scrape(a=9, **{STARTED: 2000.0})
    assert increase(before, after, "a") == 9


def test_series_come_and_go():
    x, y = frozenset({("m", "x")}), frozenset({("m", "y")})
    before, after = Scrape(0, {"a": {x: 5.0}}), Scrape(1, {"a": {y: 3.0}})
    assert increases(before, after, "a") == {y: 3.0}
    assert increase(before, after, "a", m="y") == 3
    assert increase(before, after, "a", m="x") == 0
    assert increase(before, Scrape(1, {}), "a") == 0


def test_no_time_and_no_events():
    assert per_second(scrape(1.0, a=1), scrape(1.0, a=2), "a") is None
    assert per_second(scrape(2.0, a=1), scrape(1.0, a=2), "a") is None
    assert share(scrape(), scrape(), "errors", "a") is None
    assert share(scrape(), scrape(errors=1), "errors", "a") is None
    assert divided(1, 0) is None


def test_more_errors_than_requests_are_all():
    """Requests are counted when they come, errors when they end."""
    assert share(scrape(), scrape(errors=3, a=1), "errors", "a") == 1.0


def test_quantile():
    before = histogram(0, le_0_1=10, le_0_5=10, le_inf=10)
    after = histogram(1, le_0_1=20, le_0_5=30, le_inf=30)
    assert quantile(before, after, "t", 0.25) == pytest.approx(0.05)
    assert quantile(before, after, "t", 0.5) == pytest.approx(0.1)
    assert quantile(before, after, "t", 0.75) == pytest.approx(0.3)
    assert quantile(before, after, "t", 1.0) == pytest.approx(0.5)


def test_quantile_beyond_the_last_bound():
    assert quantile(histogram(0), histogram(1, le_0_1=0, le_inf=4), "t", 0.5) == 0.1


def test_quantile_without_events_or_with_odd_bounds():
    same = histogram(0, le_0_1=3, le_inf=3)
    assert quantile(same, same, "t", 0.5) is None
    assert quantile(scrape(), scrape(), "t", 0.5) is None
    odd = Scrape(1, {"t_bucket": {frozenset({("le", "x")}): 3.0, frozenset(): 1.0}})
    assert quantile(scrape(), odd, "t", 0.5) is None


def test_window():
    rows = [scrape(at) for at in (0.0, 2.0, 4.0, 30.0)]
    assert window(rows[:1], 10) is None
    assert window(rows[:3], 10) == (rows[0], rows[2])
    assert window(rows[:3], 3) == (rows[1], rows[2])
    assert window(rows, 10) == (rows[2], rows[3])  # a gap: at least the one before


# Whatever comes

VALUES = st.floats(min_value=0, max_value=1e12, allow_nan=False)
LABELS = st.frozensets(
    st.tuples(st.sampled_from(["le", "m"]), st.sampled_from(["0.1", "0.5", "+Inf", "x"])),
    max_size=2,
)
SCRAPES = st.builds(
    Scrape,
    st.floats(min_value=0, max_value=1e6),
    st.dictionaries(
        st.sampled_from(["a", "b", "t_bucket", STARTED]),
        st.dictionaries(LABELS, VALUES, max_size=6),
    ),
)


@given(SCRAPES, SCRAPES)
def test_nothing_is_negative_or_infinite(before: Scrape, after: Scrape):
    assert all(value >= 0 for value in increases(before, after, "a").values())
    rate = per_second(before, after, "a")
    assert rate is None or rate >= 0
    part = share(before, after, "a", "b")
    assert part is None or 0 <= part <= 1


@given(SCRAPES, SCRAPES, st.floats(min_value=0, max_value=1))
def test_quantiles_are_between_the_bounds(before: Scrape, after: Scrape, q: float):
    value = quantile(before, after, "t", q)
    assert value is None or (math.isfinite(value) and 0 <= value <= 0.5)


@given(SCRAPES, SCRAPES)
def test_quantiles_are_in_order(before: Scrape, after: Scrape):
    values = [quantile(before, after, "t", q) for q in (0.0, 0.5, 0.9, 0.99, 1.0)]
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert len(known) in (0, 5)


@given(st.dictionaries(LABELS, VALUES, max_size=6), st.dictionaries(LABELS, VALUES, max_size=6))
def test_growth_is_counted_once(start: Series, growth: Series):
    end = {labels: start.get(labels, 0) + growth.get(labels, 0) for labels in start | growth}
    grown = increase(Scrape(0, {"a": start}), Scrape(1, {"a": end}), "a")
    assert grown == pytest.approx(sum(growth.values()), rel=1e-3, abs=1e-3)
