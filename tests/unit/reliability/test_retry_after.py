"""`Retry-After` as workers and their proxies write it."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.reliability.retry_after import NEVER, http_date, retry_after

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def read(value: bytes, cap: float = NEVER) -> float:
    return retry_after([(b"server", b"x"), (b"retry-after", value)], NOW, cap)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0),
        (b"2", 2),
        (b" 120\t", 120),
        (b"007", 7),
        (b"999999999999", 999999999999),
        (b"9" * 5000, NEVER),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0),
        (b"Sun, 06 Nov 1994 08:49:47 GMT", 10),
        (b"Sun, 06 Nov 1994 08:49:27 GMT", 0),  # past
        (b"Sunday, 06-Nov-94 08:49:47 GMT", 10),
        (b"Sun Nov  6 08:49:47 1994", 10),
        (b"Sun Nov 16 08:49:37 1994", 864000),
        # not understood: as if it were not there
        (b"", 0),
        (b"-1", 0),
        (b"1.5", 0),
        (b"+3", 0),
        (b"soon", 0),
        (b"1 2", 0),
        ("²".encode(), 0),
        (b"Sun, 06 Nov 1994 08:49:47", 0),
        (b"Sun, 06 Nov 1994 08:49:47 CET", 0),
        (b"Sun, 31 Feb 2094 08:49:47 GMT", 0),
        (b"Sun, 06 Foo 2094 08:49:47 GMT", 0),
        (b"Sun, 06 Nov 2094 24:49:47 GMT", 0),
        (b"Sun, 00 Nov 2094 08:49:47 GMT", 0),
        (b"Sun, 06 Nov 1494 08:49:47 GMT", 0),
        (b"Sun, 06 Nov 2094 08:60:47 GMT", 0),
    ],
)
def test_values(value, seconds):
    assert read(value) == seconds


def test_more_than_the_cap_is_for_ever():
    assert read(b"30", 30) == 30
    assert read(b"31", 30) == NEVER


def test_the_first_one_counts():
    assert retry_after([(b"retry-after", b"3"), (b"retry-after", b"9")], NOW) == 3
    assert retry_after([], NOW) == 0
    assert retry_after([(b"x-retry-after", b"3")], NOW) == 0


def test_a_leap_second():
    assert http_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800


DATES = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2069, 12, 31))


@given(DATES)
def test_all_three_forms_of_any_date(when):
    when = when.replace(microsecond=0)
    expected = when.replace(tzinfo=datetime.timezone.utc).timestamp()
    forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")
    for form in forms:
        assert http_date(when.strftime(form).encode()) == expected


@given(st.binary(max_size=60))
def test_anything_is_survived(value):
    assert read(value) >= 0
