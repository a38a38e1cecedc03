"""Ids as JSON, against the library that writes everything else."""

from __future__ import annotations

from array import array

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.token_ids import as_json

HIGHEST = 2**32 - 1


@given(st.lists(st.integers(0, HIGHEST) | st.sampled_from([0, 9, 10, 99, 100, HIGHEST])))
def test_as_json(numbers: list[int]):
    ids = array("I", numbers)
    assert as_json(ids) == orjson.dumps(numbers)
    assert ids.tolist() == numbers


def test_only_arrays_of_32_bits():
    for wrong in (array("Q", [1]), array("H", [1]), [1], None):
        with pytest.raises(TypeError):
            as_json(wrong)
