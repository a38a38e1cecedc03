"""Which requests have a span."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from smg.observability.tracing.context import parse
from smg.observability.tracing.span import Span
from smg.server.exchange import Exchange
from smg.server.tracing import RequestTracer


class Arrived:
    """As much of an exchange as the decision reads."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = [(b"host", b"a")]
        self.started = 1.0
        self.permit: Any = None


def decisions(ratio: float, count: int) -> list[tuple[int, bool]]:
    """Trace ids of requests without a caller, and whether they are sampled."""
    random.seed(7)
    tracer = RequestTracer(ratio, lambda span: None)
    found = []
    for _ in range(count):
        exchange = Arrived()
        tracer.arrived(cast(Exchange, exchange))
        (_, (name, value)) = exchange.headers
        remote = parse(value)
        assert name == b"traceparent"
        assert remote is not None
        sampled = exchange.permit is not None
        assert remote.flags == int(sampled)
        found.append((remote.trace_id, sampled))
    assert len(tracer.spans) == sum(sampled for _, sampled in found)
    return found


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_the_share_is_the_one_that_was_asked_for(ratio: float):
    found = decisions(ratio, 20_000)
    share = sum(sampled for _, sampled in found) / len(found)
    # Five standard deviations; the seed is fixed, so this does not flicker.
    assert abs(share - ratio) <= 5 * (ratio * (1 - ratio) / len(found)) ** 0.5
    assert len({trace_id for trace_id, _ in found}) == len(found)


def test_it_agrees_with_other_services_that_sample_by_the_trace_id():
    theirs = TraceIdRatioBased(0.3)
    for trace_id, sampled in decisions(0.3, 500):
        decision = theirs.should_sample(None, trace_id, "x").decision
        assert (decision is Decision.RECORD_AND_SAMPLE) == sampled


def test_a_span_is_open_until_the_permit_comes_back():
    class Gate:
        left = 0

        def leave(self) -> None:
            self.left += 1

    done: list[Span] = []
    tracer = RequestTracer(1.0, done.append)
    exchange: Any = Arrived()
    tracer.arrived(exchange)
    opened = tracer.spans[exchange]
    gate = exchange.permit = Gate()  # admission, which comes later
    opened.hold()
    assert exchange.permit is opened
    opened.hold()  # a request that waited and was then started: once is enough
    vars(exchange).update(
        method=b"GET", target=b"/", version=b"HTTP/1.1", request_id=b"r", status=200, error_code=""
    )
    exchange.route = type("Route", (), {"path": "/"})
    exchange.permit.leave()
    assert (gate.left, len(done), tracer.spans) == (1, 1, {})
    assert done[0].ended >= done[0].started
