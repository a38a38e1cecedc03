"""The cheapest possible worker: what it costs is taken from the gateway's share of the same cores.

No HTTP library: clients here are gateways, which send well-formed requests and do not pipeline. It
answers whatever gateways ask of a worker before they trust it. `python -m perf.worker --port 9001`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
from collections import deque
from typing import Any

import uvloop

from perf.messages import DONE, EVENT, MODEL, ORDER, chat_answer, chunk_event, framed

KEPT_BODY = 4096  # longer bodies are counted, not kept: they never order a stream
PIECE = framed(chunk_event())
LAST = framed(EVENT + DONE + b"\n\n") + b"0\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def whole(body: bytes, content_type: bytes = b"application/json") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: %d\r\ncontent-type: %b\r\n\r\n%b"
        % (len(body), content_type, body)
    )


def control_answers(worker: str, engine: str) -> dict[bytes, bytes]:
    """Answers by path to the probes of registration, health and load of the gateways measured."""
    card = {
        "id": MODEL,
        "object": "model",
        "created": 1700000000,
        "owned_by": engine,
        "root": MODEL,
        "max_model_len": 1048576,
    }
    model = {
        "model_path": MODEL,
        "tokenizer_path": MODEL,
        "is_generation": True,
        "served_model_name": MODEL,
        "preferred_sampling_params": None,
    }
    server = {
        **model,
        "version": "0.5.0",
        "tp_size": 1,
        "dp_size": 1,
        "worker": worker,
        "disaggregation_mode": "null",
        "max_total_num_tokens": 1048576,
        "internal_states": [{"effective_max_running_requests_per_dp": 4096}],
    }
    loads = {"dp_rank": 0, "num_reqs": 0, "num_waiting_reqs": 0, "num_tokens": 0}
    documents: dict[bytes, object] = {
        b"/v1/models": {"object": "list", "data": [card]},
        b"/get_model_info": model,
        b"/model_info": model,
        b"/get_server_info": server,
        b"/server_info": server,
        b"/get_load": [loads],
        b"/v1/loads": {"loads": [loads], "aggregate": loads},
        b"/version": {"version": "0.9.0"},
    }
    answers = {path: whole(json.dumps(value).encode()) for path, value in documents.items()}
    for path in (b"/", b"/health", b"/health_generate", b"/ping", b"/ready", b"/liveness"):
        answers[path] = whole(b"")
    answers[b"/metrics"] = whole(b"", b"text/plain; version=0.0.4")
    return answers


NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
)


class Stream:
    """One answer being written piece by piece."""

    __slots__ = ("left", "transport")

    def __init__(self, transport: asyncio.Transport, pieces: int) -> None:
        self.transport = transport
        self.left = pieces

    def step(self) -> bool:
        """Writes one piece; False when nothing is left to write."""
        if self.left <= 0:
            return False
        self.left -= 1
        if self.left:
            self.transport.write(PIECE)
            return True
        self.transport.write(LAST)
        return False


class FastStreams:
    """One piece per stream and loop turn: fast, yet each piece leaves in a packet of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.streams: list[Stream] = []

    def add(self, stream: Stream) -> None:
        self.streams.append(stream)
        if len(self.streams) == 1:
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.streams = [stream for stream in self.streams if stream.step()]
        if self.streams:
            self.loop.call_soon(self._turn)


class PacedStreams:
    """All streams of one pace share a wheel: one timer, streams spread over the wheel's slots."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pace_ms: int) -> None:
        self.loop = loop
        self.tick = max(0.005, pace_ms / 1000 / 200)
        self.slots: deque[list[Stream]] = deque(
            [] for _ in range(max(1, round(pace_ms / 1000 / self.tick)))
        )
        self.next = loop.time() + self.tick
        loop.call_at(self.next, self._turn)

    def add(self, stream: Stream) -> None:
        if stream.step():  # the first token at once, the others at the pace
            self.slots[-1].append(stream)

    def _turn(self) -> None:
        self.slots.rotate(-1)
        self.slots[-1] = [stream for stream in self.slots[-1] if stream.step()]
        self.next = max(self.next + self.tick, self.loop.time())
        self.loop.call_at(self.next, self._turn)


class Worker:
    """What all connections of the process share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, engine: str = "perf") -> None:
        self.loop = loop
        self.chat = whole(chat_answer(name))
        self.control = control_answers(name, engine)
        self.fast = FastStreams(loop)
        self.paced: dict[int, PacedStreams] = {}

    def stream(self, stream: Stream, pace_ms: int) -> None:
        if not pace_ms:
            self.fast.add(stream)
            return
        wheel = self.paced.get(pace_ms)
        if wheel is None:
            wheel = self.paced[pace_ms] = PacedStreams(self.loop, pace_ms)
        wheel.add(stream)


class WorkerProtocol(asyncio.Protocol):
    __slots__ = ("body", "chunked", "head", "left", "path", "stream", "transport", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.head = b""  # an unfinished head
        self.body = b""
        self.left = 0  # bytes of body still to come
        self.chunked = False
        self.path = b""
        self.stream: Stream | None = None

    def connection_made(self, transport: Any) -> None:  # uvloop's is no asyncio.Transport
        self.transport: asyncio.Transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.stream is not None:
            self.stream.left = 0

    def data_received(self, data: bytes) -> None:
        if self.left:
            self._body(data)
            return
        if self.head:
            data = self.head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.head = data
            return
        self.head = b""
        head = data[:end].lower() + b"\r\n"
        self.path = data.split(b" ", 2)[1].partition(b"?")[0]
        self.body = b""
        at = head.find(b"\r\ncontent-length:")
        self.chunked = at < 0 and b"\r\ntransfer-encoding: chunked" in head
        if at >= 0:
            self.left = int(head[at + 17 : head.index(b"\r\n", at + 17)])
        else:
            self.left = 1 if self.chunked else 0
        if self.left:
            if len(data) > end + 4:
                self._body(data[end + 4 :])
        else:
            self._answer()

    def _body(self, data: bytes) -> None:
        if self.chunked:
            # Enough of both ends to find the order and the terminator.
            self.body = self.body[:KEPT_BODY] + self.body[KEPT_BODY:][-5:] + data
            if self.body.endswith(b"0\r\n\r\n"):
                self.left = 0
        else:
            if len(self.body) < KEPT_BODY:
                self.body += data[:KEPT_BODY]
            self.left = max(0, self.left - len(data))
        if not self.left:
            self._answer()

    def _answer(self) -> None:
        if not self.path.endswith(b"/completions"):
            self.transport.write(self.worker.control.get(self.path, NOT_FOUND))
            return
        if b'"stream":true' in self.body or b'"stream": true' in self.body:
            order = ORDER.search(self.body)
            pieces, pace = (int(order[1]), int(order[2])) if order else (33, 0)
            self.transport.write(STREAM_HEAD)
            self.stream = Stream(self.transport, pieces)
            self.worker.stream(self.stream, pace)
            return
        self.transport.write(self.worker.chat)


async def serve(host: str, port: int, engine: str) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(loop, f"worker-{port}", engine)
    server = await loop.create_server(lambda: WorkerProtocol(worker), host, port, backlog=4096)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)
    print(f"worker on {host}:{port}", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", default="perf", help="what it says it is: sglang, vllm")
    options = parser.parse_args()
    uvloop.run(serve(options.host, options.port, options.engine))


if __name__ == "__main__":
    main()
