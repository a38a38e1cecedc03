from __future__ import annotations

import pytest

from perf.observability_cost import lateness, longest, steps, verdicts


@pytest.mark.parametrize(
    ("rounds", "good"),
    [
        ([[100, 114, 148, 157]] * 3, True),
        ([[100, 116, 148, 157]] * 3, False),  # metrics
        ([[100, 110, 146, 155]] * 3, False),  # the access log
        ([[100, 110, 140, 151]] * 3, False),  # traces
        # Each round for itself: a machine that becomes slower is nobody's fault.
        ([[100, 110, 140, 149], [200, 220, 280, 298], [400, 440, 560, 596]], True),
    ],
)
def test_bounds(rounds: list[list[float]], good: bool):
    assert verdicts(steps(1), rounds) is good


def test_a_stall_counts_for_every_window_it_touches():
    # when it was over, how long it was, and what other threads computed meanwhile
    late = [(10.0, 0.5, 0.1), (20.0, 0.001, 0.0), (20.1, 0.002, 0.0)]
    windows = [(9.0, 9.4), (9.0, 9.6), (9.9, 10.5), (10.1, 19.9), (19.9, 21.0)]
    assert list(map(lateness, longest(late, windows))) == [0.0, 0.5, 0.5, 0.0, 0.002]
