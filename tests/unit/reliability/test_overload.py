"""When a worker's own report says that it has too much (routing-reliability 22)."""

from __future__ import annotations

import pytest

from smg.reliability.overload import OverloadSettings
from smg.workers.spec import OverloadSpec


@pytest.mark.parametrize(
    ("waiting", "usage", "overloaded"),
    [
        (9, 0.89, False),
        (10, 0.0, True),
        (0, 0.9, True),
        (None, 0.95, True),
        (11, None, True),
        (None, None, False),  # without fresh data nobody is kept from working
    ],
)
def test_at_the_limit(waiting, usage, overloaded):
    assert OverloadSettings(10, 0.9).overloaded(waiting, usage) is overloaded


def test_no_limit():
    assert not OverloadSettings().overloaded(10**6, 1.0)
    assert not OverloadSettings(waiting_requests=5).overloaded(4, 1.0)
    assert not OverloadSettings(token_usage=0.5).overloaded(10**6, 0.4)


def test_a_worker_of_its_own():
    merged = OverloadSettings(10, 0.9).merged(OverloadSpec(waiting_requests=2))
    assert merged == OverloadSettings(2, 0.9)
    assert OverloadSettings(10).merged(OverloadSpec()) == OverloadSettings(10)


@pytest.mark.parametrize("wrong", [(0, None), (None, 0.0), (None, 1.1), (-1, 0.5)])
def test_nonsense(wrong):
    with pytest.raises(ValueError, match="overload"):
        OverloadSettings(*wrong)
