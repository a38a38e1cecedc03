"""An OTLP collector over gRPC in this process: what the gateway exports, as plain values.

    with Collector() as collector:
        async with Gateway(enable_trace=True, otlp_traces_endpoint=collector.endpoint, ...):
            ...
        (span,) = collector.spans  # a stopped gateway has flushed

Needs the packages of the extra `tracing`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent import futures
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service


@dataclass(frozen=True)
class Exported:
    """One span as it came; ids in hexadecimal, times in nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    kind: int
    failed: bool
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any] = field(repr=False)
    event_times: list[int] = field(repr=False)


class Collector(service.TraceServiceServicer):
    """Listens while the `with` block is open. With `refuse` every export fails with that status."""

    def __init__(self, port: int = 0, refuse: Any = None) -> None:
        self.spans: list[Exported] = []
        self.batches: list[int] = []
        self.refuse = refuse
        #: closed: exports wait here
        self.gate = threading.Event()
        self.gate.set()
        #: an export arrived
        self.asked = threading.Event()
        self._executor = futures.ThreadPoolExecutor(2)
        self._server = grpc.server(self._executor)
        service.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    @property
    def endpoint(self) -> str:
        """For `--otlp-traces-endpoint`."""
        return f"127.0.0.1:{self.port}"

    def Export(self, request: Any, context: Any) -> Any:
        self.asked.set()
        self.gate.wait(30)
        if self.refuse is not None:
            context.abort(self.refuse, "refused by the test")
        found = list(_spans(request))
        self.batches.append(len(found))
        self.spans += found
        return messages.ExportTraceServiceResponse()

    def __enter__(self) -> Collector:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._server.stop(None).wait(5)
        self._executor.shutdown()


def _spans(request: Any) -> Iterable[Exported]:
    for group in request.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Exported(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    trace_state=span.trace_state,
                    kind=span.kind,
                    failed=span.status.code == 2,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes=_values(span.attributes),
                    events=[(event.name, _values(event.attributes)) for event in span.events],
                    resource=resource,
                    event_times=[event.time_unix_nano for event in span.events],
                )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
