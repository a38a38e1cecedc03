"""Which requests go wrong, and how: fault specifications and the book that counts them.

`NAME[=VALUE][,key=value...]`, for example `status=503,retry-after=2,times=3` or `cut-mid-
frame=5,probability=0.1`. Deciding only; `smg.sim.misbehaviour` carries it out. The names are listed
in docs/guide/simulated-engine.md.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field

# name -> what its value means: None = takes none, "" = may be left out
HEAD_FAULTS = {
    "refuse": None,
    "close": None,
    "partial-head": None,
    "garbage": None,
    "status": "a status code",
    "stall": "",
    "length-short": None,
    "length-long": None,
    "big-head": "",
}
# These strike inside the answer; the value is the number of tokens that get through first
# (default 1).
BODY_FAULTS = {
    "stall-after": "",
    "cut": "",
    "cut-mid-frame": "",
    "cut-mid-chunk": "",
    "bad-chunk-size": "",
    "error-frame": "",
    "reset": "",
    "dribble": "",
}
KINDS = {**HEAD_FAULTS, **BODY_FAULTS}
HEADER = b"x-request-id-sim-fault"
# Header faults with `times` are counted per request id; this many ids are remembered.
REMEMBERED = 4096


class FaultError(ValueError):
    """A specification that cannot be read; the message says why."""


@dataclass
class Fault:
    """One armed fault. `seconds` None means for ever."""

    spec: str
    kind: str
    value: float | None = None
    seconds: float | None = None
    retry_after: int | None = None
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    path: str | None = None
    port: int | None = None
    struck: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(0), repr=False)

    @property
    def at(self) -> int:
        """Tokens that get through before a body fault strikes."""
        return 1 if self.value is None else int(self.value)

    @property
    def in_body(self) -> bool:
        """True for faults that need an answer to strike in."""
        return self.kind in BODY_FAULTS

    def strikes(self) -> bool:
        """Roll and count: does it hit this request?"""
        if self.times is not None and self.struck >= self.times:
            return False
        if self.probability < 1 and self.dice.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        """True when it can never strike again."""
        return self.times is not None and self.struck >= self.times


def parse(spec: str) -> Fault:
    """A fault from its specification; raises FaultError."""
    first, *options = (part.strip() for part in spec.strip().split(","))
    kind, _, text = first.partition("=")
    if kind not in KINDS:
        raise FaultError(f"unknown fault {kind!r}; known: {', '.join(sorted(KINDS))}")
    fault = Fault(spec.strip(), kind)
    if text:
        if KINDS[kind] is None:
            raise FaultError(f"fault {kind!r} takes no value")
        fault.value = _number(kind, text)
    elif KINDS[kind]:
        raise FaultError(f"fault {kind!r} needs {KINDS[kind]}")
    if kind == "status" and not 100 <= (fault.value or 0) <= 999:
        raise FaultError("status must be 100..999")
    if kind == "stall":
        fault.seconds = fault.value
    for option in options:
        _apply(fault, option)
    return fault


def _apply(fault: Fault, option: str) -> None:
    name, _, text = option.partition("=")
    if name == "times":
        fault.times = int(_number(name, text))
    elif name == "skip":
        fault.skip = int(_number(name, text))
    elif name == "probability":
        fault.probability = _number(name, text)
        if fault.probability > 1:
            raise FaultError("probability must be 0..1")
    elif name == "seed":
        fault.dice = random.Random(int(_number(name, text)))
    elif name == "seconds":
        fault.seconds = _number(name, text)
    elif name == "retry-after":
        fault.retry_after = int(_number(name, text))
    elif name == "port":
        fault.port = int(_number(name, text))
    elif name == "path" and text.startswith("/"):
        fault.path = text
    else:
        raise FaultError(f"unknown option {option!r}")


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FaultError(f"{name}: {text!r} is not a number") from None
    if not 0 <= value < 1e9:
        raise FaultError(f"{name}: {text} is out of range")
    return value


class FaultBook:
    """All faults of one worker, asked once per request."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.faults: list[Fault] = []
        self._by_header: dict[bytes, Fault] = {}
        self._counted: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()

    def arm(self, spec: str) -> Fault:
        """Add a fault; raises FaultError."""
        fault = parse(spec)
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Behave again."""
        self.faults.clear()

    def pick(
        self, path: str, header: bytes | None, request_id: bytes, *, anywhere: bool
    ) -> Fault | None:
        """The fault for this request, the header's first.

        `anywhere` False (probes and the like): faults without a `path` leave it alone.
        """
        if header is not None:
            fault = self._from_header(header, request_id)
            if fault is not None:
                return fault
        for fault in self.faults:
            if fault.kind == "refuse" or (fault.port is not None and fault.port != self.port):
                continue
            if (anywhere if fault.path is None else fault.path == path) and fault.strikes():
                self._forget_spent()
                return fault
        return None

    def refuses(self) -> bool:
        """Asked for every new connection: close it at once?"""
        for fault in self.faults:
            if fault.kind == "refuse" and fault.strikes():
                self._forget_spent()
                return True
        return False

    def _from_header(self, header: bytes, request_id: bytes) -> Fault | None:
        fault = self._by_header.get(header)
        if fault is None:
            fault = parse(header.decode("latin-1"))
            if len(self._by_header) < REMEMBERED:
                self._by_header[header] = fault
        if fault.port is not None and fault.port != self.port:
            return None
        if fault.times is not None:
            # Retries of one request carry the same id: `times=1` fails the first
            # attempt on this worker only.
            key = (header, request_id)
            count = self._counted.get(key, 0)
            if count >= fault.times:
                return None
            self._counted[key] = count + 1
            if len(self._counted) > REMEMBERED:
                self._counted.popitem(last=False)
        if fault.probability < 1 and fault.dice.random() >= fault.probability:
            return None
        return fault

    def _forget_spent(self) -> None:
        self.faults = [fault for fault in self.faults if not fault.spent]
