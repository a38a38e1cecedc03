"""Compiled leaf modules: bytes and ints in and out, no settings, no logging, nothing else of ours.

`MODULES` are written in Cython. `TYPED` are ordinary Python files that a `.pxd` beside them gives
C types: the objects that every request passes. They are compiled too (a small request costs half
the instructions that way) and stay readable, type-checked and runnable as they are: `SMG_PLAIN=1`
makes the tests load the plain sources.
"""

from __future__ import annotations

MODULES = (
    "checks",
    "detokenize",
    "extents",
    "framing",
    "head",
    "loads",
    "placement",
    "radix",
    "radix_check",
    "radix_core",
    "radix_nodes",
    "request_head",
    "ring",
    "scores",
)
TYPED = (
    "smg.core.deadlines",
    "smg.core.ids",
    "smg.observability.metrics",
    "smg.protocols.body",
    "smg.protocols.chat",
    "smg.reliability.breaker",
    "smg.reliability.budget",
    "smg.server.exchange",
    "smg.server.metrics",
    "smg.server.protocol",
    "smg.server.routes",
    "smg.server.state",
    "smg.upstream.connection",
    "smg.upstream.pool",
    "smg.wire.head",
    "smg.backends.http.context",
    "smg.backends.http.dispatch",
    "smg.backends.http.gather",
    "smg.backends.http.headers",
    "smg.backends.http.lane",
    "smg.backends.http.proxy",
    "smg.backends.http.relay",
    "smg.backends.http.series",
    "smg.backends.http.target",
    "smg.workers.group",
    "smg.workers.model",
)
