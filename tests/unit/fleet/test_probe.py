"""Whom a question goes to: a worker's address, also for one of its data-parallel ranks."""

from __future__ import annotations

import pytest

from smg.fleet.probe import Address, Target, ask_json, check_health
from smg.workers import Worker
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"


@pytest.mark.parametrize(
    "target",
    [Address(URL, "k"), Worker(URL, api_key="k"), Worker(URL, dp_rank=2, api_key="k")],
    ids=["address", "worker", "rank"],
)
async def test_a_question_goes_to_the_address_with_the_key(target: Target) -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/health", 200)
    fetcher.set(URL, "/info", 200, {"a": 1})
    assert await check_health(fetcher, target, "/health", 1.0) is None
    assert (await ask_json(fetcher, target, "/info", timeout=1.0)).data == {"a": 1}
    for asked in fetcher.asked:
        assert (asked.url, asked.headers[b"authorization"]) == (URL, b"Bearer k")
