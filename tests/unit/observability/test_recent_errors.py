"""The list of recent errors is short, whatever happens."""

from __future__ import annotations

import itertools

from smg.observability.recent_errors import MOST_TEXT, RecentErrors


def test_one_entry_per_kind_the_latest_first():
    clock = itertools.count(100)
    errors = RecentErrors(clock=lambda: next(clock))
    errors.add("/a", 500, "x", "first", "id-1")
    errors.add("/a", 503, "y", "other", "id-2")
    errors.add("/a", 500, "x", "second", "id-3")
    latest, older = errors.latest()
    assert (latest.count, latest.first, latest.last) == (2, 100, 102)
    assert (latest.message, latest.request_id) == ("second", "id-3")
    assert (older.status, older.code, older.count) == (503, "y", 1)


def test_a_flood_of_one_kind_hides_no_other():
    errors = RecentErrors(most=3)
    errors.add("/rare", 500, "", "", "")
    for number in range(1000):
        errors.add("other", 404, "unknown_url", "", str(number))
    assert [error.path for error in errors.latest()] == ["other", "/rare"]


def test_the_oldest_kind_makes_way():
    errors = RecentErrors(most=2)
    for path in ("/a", "/b", "/a", "/c"):
        errors.add(path, 500, "", "", "")
    assert [error.path for error in errors.latest()] == ["/c", "/a"]


def test_long_messages_are_cut():
    errors = RecentErrors()
    errors.add("/a", 400, "", "x" * 10_000, "")
    assert errors.latest()[0].message == "x" * MOST_TEXT
