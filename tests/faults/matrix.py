"""The fault matrix as data: what a worker sends, where it can break, how, and what must follow.

`test_matrix.py` runs every row; `docs/develop/faults.md` explains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.doubles.tcp_proxy import Act

#: what the worker's side does at the place
Fault = Literal["FIN", "RST", "silence", "garbage", "pause", "drip"]
#: what room a place leaves: nothing came, half a head, between two SSE frames, anywhere else
Room = Literal["nothing", "half a head", "gap", "inside", "inside, sized"]


@dataclass(frozen=True)
class Wire:
    """One whole answer, cut into pieces; each is named after the place that it begins at."""

    name: str
    stream: bool  # what the client asked for
    pieces: tuple[tuple[str, Room, bytes], ...]

    @property
    def raw(self) -> bytes:
        return b"".join(data for _, _, data in self.pieces)

    @property
    def head_size(self) -> int:
        return self.raw.index(b"\r\n\r\n") + 4


STREAM = Wire(
    "stream",
    True,
    (
        ("before the head", "nothing", b"HTTP/1.1 200 OK\r\nContent-Ty"),
        (
            "inside the head",
            "half a head",
            b"pe: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("after the head", "gap", b'10\r\ndata: {"n": 1}\n\n\r\n'),
        ("between two frames", "gap", b"b\r\ndata"),
        ("inside a chunk", "inside", b': {"n":\r\n'),
        ("inside a frame, between two chunks", "inside", b"1"),
        ("inside a chunk header", "inside", b'0\r\n 2, "text": ""}\n\r\n'),
        ("inside a frame's end", "inside", b"1\r\n\n\r\n"),
        ("before [DONE]", "gap", b"e\r\ndata: [DONE]\n\n\r\n"),
        ("before the last chunk", "gap", b"0\r\n"),
        ("inside the last chunk", "inside", b"\r\n"),
    ),
)

JSON = Wire(
    "JSON",
    False,
    (
        ("before the head", "nothing", b"HTTP/1.1 200 OK\r\nContent-Ty"),
        (
            "inside the head",
            "half a head",
            b"pe: application/json\r\nContent-Length: 37\r\n\r\n",
        ),
        ("after the head", "inside, sized", b'{"object": "chat'),
        ("inside the body", "inside, sized", b'.completion", "n": 1'),
        ("before the last byte", "inside, sized", b"}"),
    ),
)

CHUNKED_JSON = Wire(
    "chunked JSON",
    False,
    (
        ("before the head", "nothing", b"HTTP/1.1 200 OK\r\nContent-Ty"),
        (
            "inside the head",
            "half a head",
            b"pe: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("after the head", "inside", b'16\r\n{"object": "chat.'),
        ("inside a chunk", "inside", b"compl\r\n"),
        ("between two chunks", "inside", b"1"),
        ("inside a chunk header", "inside", b'3\r\netion", "text": ""}\r\n'),
        ("before the last chunk", "inside", b"0\r\n"),
        ("inside the last chunk", "inside", b"\r\n"),
    ),
)

WIRES = (STREAM, JSON, CHUNKED_JSON)

ACTS: dict[Fault, Act] = {
    "FIN": "close",
    "RST": "reset",
    "silence": "swallow",
    "garbage": "inject",
    "pause": "pause",
    "drip": "drip",
}
#: no HTTP, no chunk size, no trailer
GARBAGE = b"\x00\xffgarbage\n"


@dataclass(frozen=True)
class Refused:
    """A JSON error before the first byte; another worker may cure it."""

    status: int
    code: str
    #: nobody saw the request: the next worker gets it without a pause. None: that is chance
    at_once: bool | None = False


@dataclass(frozen=True)
class Cut:
    """The answer began: an error frame where one fits (`told`), else broken framing."""

    reason: str
    told: bool


@dataclass(frozen=True)
class Whole:
    """The client gets everything. `spoilt`: with what was put in between, which a length cannot
    tell from the rest.
    """

    spoilt: bool = False


Outcome = Refused | Cut | Whole

UNREACHED = Refused(502, "call_upstream_connection_failed", at_once=True)
LOST = Refused(502, "call_upstream_connection_failed")
LOST_EARLY = Refused(502, "call_upstream_connection_failed", at_once=None)
NO_HTTP = Refused(502, "call_upstream_bad_response")
LATE = Refused(504, "call_upstream_timeout")
CUT, CUT_TOLD = Cut("upstream_stream_cut", False), Cut("upstream_stream_cut", True)
STALLED, STALLED_TOLD = Cut("upstream_stream_timeout", False), Cut("upstream_stream_timeout", True)
WHOLE = Whole()

OUTCOMES: dict[Room, dict[Fault, Outcome]] = {
    "nothing": {
        "FIN": LOST,
        "RST": LOST,
        "silence": LATE,
        "garbage": NO_HTTP,
        "pause": WHOLE,
        "drip": WHOLE,
    },
    "half a head": {
        "FIN": NO_HTTP,
        "RST": NO_HTTP,
        "silence": LATE,
        "garbage": NO_HTTP,
        "pause": WHOLE,
        "drip": WHOLE,
    },
    "gap": {
        "FIN": CUT_TOLD,
        "RST": CUT_TOLD,
        "silence": STALLED_TOLD,
        "garbage": CUT,  # what follows bad framing may be anything
        "pause": WHOLE,
        "drip": WHOLE,
    },
    "inside": {
        "FIN": CUT,
        "RST": CUT,
        "silence": STALLED,
        "garbage": CUT,
        "pause": WHOLE,
        "drip": WHOLE,
    },
    "inside, sized": {
        "FIN": CUT,
        "RST": CUT,
        "silence": STALLED,
        "garbage": Whole(spoilt=True),
        "pause": WHOLE,
        "drip": WHOLE,
    },
}


@dataclass(frozen=True)
class Place:
    """Between two bytes of an answer: `at` of them pass before."""

    wire: Wire
    name: str
    room: Room
    at: int

    def __str__(self) -> str:
        return f"{self.wire.name} {self.name}"

    @property
    def in_body(self) -> bool:
        """The head is complete, and the client has it."""
        return self.at >= self.wire.head_size

    @property
    def seen(self) -> bytes:
        """The part of the body that the client has."""
        return self.wire.raw[self.wire.head_size : self.at]

    @property
    def rest(self) -> bytes:
        """The part of the body that it has not."""
        return self.wire.raw[max(self.at, self.wire.head_size) :]


def places(*wires: Wire) -> Iterator[Place]:
    """Every place of these answers."""
    for wire in wires:
        at = 0
        for name, room, data in wire.pieces:
            yield Place(wire, name, room, at)
            at += len(data)


@dataclass(frozen=True)
class Case:
    """One row of the matrix."""

    place: Place
    fault: Fault
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.place.wire.name}: {self.fault} {self.place.name}"


#: every place of every answer with every fault
CASES = tuple(
    Case(place, fault, outcome)
    for place in places(*WIRES)
    for fault, outcome in OUTCOMES[place.room].items()
)

#: The way to the worker: no connection, or one that is accepted, and then. (Garbage at once is the
#: row "garbage before the head": which of the two comes first is chance.)
ConnectFault = Literal["refused", "hangs", "FIN", "RST", "silence", "slow"]
CONNECTS: dict[ConnectFault, Outcome] = {
    "refused": UNREACHED,
    "hangs": UNREACHED,
    "FIN": LOST_EARLY,
    "RST": LOST_EARLY,
    "silence": LATE,
    "slow": WHOLE,
}

#: A connection kept from an earlier request. `idle`: before the next request comes; `used`: when it
#: comes, so that the gateway cannot know.
KeptFault = Literal[
    "FIN while idle",
    "RST while idle",
    "garbage while idle",
    "FIN when used",
    "RST when used",
    "FIN when used, then refused",
    "silence when used",
    "garbage when used",
]
KEPT: dict[KeptFault, tuple[Outcome, int]] = {  # and how often the request was sent once more
    "FIN while idle": (WHOLE, 0),
    "RST while idle": (WHOLE, 0),
    "garbage while idle": (WHOLE, 0),
    "FIN when used": (WHOLE, 1),
    "RST when used": (WHOLE, 1),
    "FIN when used, then refused": (UNREACHED, 1),
    "silence when used": (LATE, 0),
    "garbage when used": (NO_HTTP, 0),
}
