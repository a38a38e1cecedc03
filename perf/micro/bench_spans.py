"""CPU of a span on its way to a collector: `python -m perf.micro.bench_spans`.

Encodes requests of as many spans as the exporter puts into one, by `otlp.py` and by the SDK, in
turns in one process, with a secret to look for. Neither sends anything. Look at the ratio: the
microseconds are this machine's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter, process_time
from typing import Any

from perf.micro.sdk_spans import SdkEncoder
from perf.stats import median
from smg.observability.log_format import Redactor
from smg.observability.tracing.export import SLICE
from smg.observability.tracing.otlp import Encoder
from smg.observability.tracing.span import Span

#: at least this many times cheaper than the SDK
BOUND = 3.0


def usual_span(number: int) -> Span:
    """Of a chat request that a worker answered."""
    now = perf_counter()
    span = Span("http_request", number << 64 | 0x5EED, number, now - 0.25)
    span.attributes = {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "method": b"POST",
        "uri": b"/v1/chat/completions",
        "version": b"HTTP/1.1",
        "request_id": b"chatcmpl-%024d" % number,
        "module": "smg",
        "route": "/v1/chat/completions",
        "status_code": 200,
        "latency": 240_000 + number,
        "error": None,
    }
    worker = "http://10.0.0.17:8000"
    span.events = [
        (now - 0.249, "request sent", {"url": worker}),
        (now - 0.01, "response received", {"url": worker, "status_code": 200}),
    ]
    span.ended = now
    return span


def cost(encode: Callable[[Sequence[Span]], Any], spans: Sequence[Span], times: int) -> float:
    """CPU microseconds a span, serialized."""
    began = process_time()
    for _ in range(times):
        encode(spans).SerializeToString()
    return (process_time() - began) / times / len(spans) * 1e6


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="perf.micro.bench_spans", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=20, help="requests a round")
    parser.add_argument("--check", action="store_true", help=f"exit 1 below {BOUND:g} times")
    options = parser.parse_args()
    redact = Redactor()
    redact.add("a-key-of-the-gateway")
    ours, theirs = Encoder("1.0", redact), SdkEncoder("1.0", redact)
    spans = [usual_span(number) for number in range(1, SLICE + 1)]
    assert ours(spans) == theirs(spans)
    rounds = [
        (cost(ours, spans, options.times), cost(theirs, spans, options.times))
        for _ in range(options.rounds)
    ]
    ratio = median([other / own for own, other in rounds])
    print(f"otlp.py  {median([own for own, _ in rounds]):7.1f} us a span, {SLICE} at once")
    print(f"the SDK  {median([other for _, other in rounds]):7.1f} us a span, {ratio:.1f} times")
    return 0 if ratio >= BOUND or not options.check else 1


if __name__ == "__main__":
    raise SystemExit(main())
