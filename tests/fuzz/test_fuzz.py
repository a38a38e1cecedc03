"""The fuzz targets for a moment, with fixed inputs; longer runs: `python -m tests.fuzz.run`."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_hundred_inputs(name):
    for case in range(300):
        TARGETS[name](random.Random(case))
