from __future__ import annotations

import asyncio
import time

from smg.observability.families import GatewayMetrics
from smg.observability.loop_canary import IDLE_INTERVALS, WINDOW, LoopCanary, intervals
from smg.observability.metrics import Registry


def test_quantiles_and_stalls():
    metrics = GatewayMetrics(Registry())
    canary = LoopCanary(metrics)
    assert canary.delay() == 0.0
    for index in range(100):
        canary.record(index / 1000)
    assert canary.delay(0.99) == 0.098
    assert canary.delay(1.0) == 0.099
    assert metrics.event_loop_stalls.labels().value == 94
    assert metrics.event_loop_delay.labels().count == 100


def test_old_values_leave_the_window():
    canary = LoopCanary(GatewayMetrics(Registry()))
    for _ in range(WINDOW):
        canary.record(1.0)
    for _ in range(WINDOW):
        canary.record(0.0)
    assert canary.delay(1.0) == 0.0


async def test_a_blocked_loop_is_seen():
    metrics = GatewayMetrics(Registry())
    canary = LoopCanary(metrics)
    canary.start()
    canary.start()
    assert metrics.event_loop_tasks.labels().value >= 1
    await asyncio.sleep(0.02)
    before = metrics.event_loop_stalls.labels().value
    # Idle before, so the next look may have been due 50 ms later.
    time.sleep(0.1)  # noqa: ASYNC251  blocking the loop is the point
    await asyncio.sleep(0.02)
    canary.stop()
    canary.stop()
    assert metrics.event_loop_stalls.labels().value > before
    assert canary.delay(1.0) >= 0.03
    count = metrics.event_loop_delay.labels().count
    await asyncio.sleep(0.08)
    assert metrics.event_loop_delay.labels().count == count


def test_a_loop_with_little_to_do_is_looked_at_less_often():
    assert intervals(0.0004, 0.010) == IDLE_INTERVALS
    assert intervals(0.0006, 0.010) == 1
    assert intervals(0.002, 0.050) == IDLE_INTERVALS
    assert intervals(0.003, 0.050) == 1


async def test_a_value_stands_for_the_time_since_the_last_one():
    canary = LoopCanary(GatewayMetrics(Registry()))
    canary.start()
    while canary._intervals == 1:
        await asyncio.sleep(0.005)
    canary.stop()
    before = len(canary._recent)
    canary.record(0.001)
    assert len(canary._recent) == before + IDLE_INTERVALS
