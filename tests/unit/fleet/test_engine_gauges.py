"""The engines' load as gauges of ours; that series leave with their worker is in test_loads.py."""

from __future__ import annotations

from smg.fleet.load_sources import LOADS_PATH
from tests.unit.fleet.test_loads import URL, loads, world


async def test_engine_gauges() -> None:
    async with world(gauges=True) as w:
        w.add(worker_type="prefill")
        whole = loads(
            *(3, 4),
            num_running_reqs=2,
            token_usage=0.5,
            gen_throughput=10.0,
            cache_hit_rate=0.25,
            prefill_queue_reqs=1,
        )
        w.fetcher.set(URL, LOADS_PATH, 200, whole)
        await w.clock.advance(1)
        samples = w.series()
        here = {"worker": URL, "model": "m", "dp_rank": "1"}
        assert samples.value("smg_engine_waiting_requests", **here) == 4
        assert samples.value("smg_engine_running_requests", **here) == 2
        assert samples.value("smg_engine_token_usage", **here) == 0.5
        assert samples.value("smg_engine_gen_throughput", **here) == 10
        assert samples.value("smg_engine_cache_hit_rate", **here) == 0.25
        assert samples.labels("smg_engine_pd_prefill_queue_reqs") == [
            {"worker": URL, "role": "prefill", "dp_rank": str(rank)} for rank in range(2)
        ]
        assert samples.labels("smg_engine_pd_kv_transfer_latency_ms") == []
        w.fetcher.set(URL, LOADS_PATH, 200, loads(3))
        await w.clock.advance(10)
        samples = w.series()
        assert samples.labels("smg_engine_waiting_requests") == [{**here, "dp_rank": "0"}]
        assert samples.labels("smg_engine_token_usage") == []


async def test_no_gauges_without_the_flag() -> None:
    async with world() as w:
        w.add()
        await w.clock.advance(1)
        assert w.waiting() == 1
        assert not any(name.startswith("smg_engine_") for name in w.series().names())
