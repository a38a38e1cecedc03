"""What became of a request, judged by what its client saw.

right   status 200, sound framing, the text that the prompt gets, every frame, the right usage
failed  a status other than 200, or the connection's end before any status
cut     a status 200 whose answer did not come to its end *and said so*: by an error frame, or by
        framing that breaks off; what came was right
hung    no end within the client's patience
wrong   any other text, a cut answer that looks whole, bytes that are no HTTP, bytes after the end
left    nothing more: the client went away by itself

**Could be retried**: nothing of a good answer had been sent to the client before the fault. These
are right, failed, and hung without a byte; their success rate is right / (right + failed + hung
without a byte). Of a cut answer at least the head had been sent: no gateway may ask again.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from perf.chaos.asks import CHAT, Ask


class Verdict(enum.Enum):
    """See the module."""

    RIGHT = "right"
    FAILED = "failed"
    CUT = "cut"
    HUNG = "hung"
    WRONG = "wrong"
    LEFT = "left"


class End(enum.Enum):
    """How the client's side of an answer ended."""

    COMPLETE = "complete"  # by its own framing
    CLOSED = "closed"
    MALFORMED = "malformed"
    PATIENCE = "out of patience"
    LEFT = "left"


@dataclass(frozen=True)
class Seen:
    """What came until the end; `status` 0 without a complete head."""

    end: End
    status: int = 0
    framed: bool = True  # the head says where the body ends
    request_id: str = ""  # as the answer's head names it, "" = not at all
    body: bytes = b""
    extra: bool = False  # bytes after the end of the answer


#: Reasons that `judge` gives and others ask for.
NOTHING_CAME = "nothing came"


def judge(ask: Ask, seen: Seen) -> tuple[Verdict, str]:
    """The verdict, and why in a few words ("" for right)."""
    if seen.extra:
        return Verdict.WRONG, "bytes after the answer"
    if seen.status == 200:
        if seen.request_id not in ("", ask.ident):
            return Verdict.WRONG, "the id of another request"
        if not seen.framed:
            return Verdict.WRONG, "no framing"
        return _judge_stream(ask, seen) if ask.stream else _judge_whole(ask, seen)
    if seen.end is End.PATIENCE:
        return Verdict.HUNG, f"status {seen.status}" if seen.status else NOTHING_CAME
    if seen.end is End.LEFT:
        return Verdict.LEFT, ""
    if not seen.status:
        if seen.end is End.MALFORMED:
            return Verdict.WRONG, "not HTTP"
        return Verdict.FAILED, "closed without an answer"
    return Verdict.FAILED, f"status {seen.status} {error_code(seen.body)}".rstrip()


def error_code(body: bytes) -> str:
    """The code of an OpenAI error body, "" without one."""
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, TypeError, KeyError):
        return ""


_EARLY = {
    End.CLOSED: (Verdict.CUT, "framing broken off"),
    End.MALFORMED: (Verdict.CUT, "framing malformed"),
    End.PATIENCE: (Verdict.HUNG, "in the answer"),
    End.LEFT: (Verdict.LEFT, ""),
}


def _judge_whole(ask: Ask, seen: Seen) -> tuple[Verdict, str]:
    if seen.end is not End.COMPLETE:
        return _EARLY[seen.end]
    try:
        answer = json.loads(seen.body)
        choice = answer["choices"][0]
        text = choice["message"]["content"] if ask.path == CHAT else choice["text"]
        usage = answer["usage"]
    except (ValueError, TypeError, KeyError, IndexError):
        return Verdict.WRONG, "not the JSON of an answer"
    if text != ask.text:
        return Verdict.WRONG, "another text"
    return _with_usage(ask, usage)


def _with_usage(ask: Ask, usage: Any) -> tuple[Verdict, str]:
    if not isinstance(usage, dict) or usage.get("prompt_tokens") != ask.prompt_tokens:
        return Verdict.WRONG, "the usage of another request"
    return Verdict.RIGHT, ""


@dataclass
class Story:
    """A stream read to where it got."""

    text: str = ""
    usage: Any = None
    finished: bool = False  # a finish reason came
    error: str | None = None  # code of the error frame
    done: bool = False  # [DONE] came
    strange: str = ""  # what no engine sends


def read_stream(body: bytes, path: str) -> Story:
    """The whole frames of an SSE body; a piece of a frame at the end is left out."""
    story = Story()
    pieces: list[str] = []
    frames = body.split(b"\n\n")
    for frame in frames[:-1]:
        if not frame or frame.startswith(b":"):
            continue
        if story.done:
            story.strange = "frames after [DONE]"
        data = frame.partition(b"data: ")[2]
        if data == b"[DONE]":
            story.done = True
            continue
        try:
            value = json.loads(data)
            if "error" in value:
                story.error = str(value["error"].get("code"))
                continue
            for choice in value["choices"]:
                said = choice["delta"].get("content") if path == CHAT else choice["text"]
                pieces.append(said or "")
                story.finished = story.finished or choice["finish_reason"] is not None
            story.usage = value.get("usage") or story.usage
        except (ValueError, TypeError, KeyError, AttributeError):
            story.strange = "a frame that is no JSON of an engine"
    story.text = "".join(pieces)
    return story


def _judge_stream(ask: Ask, seen: Seen) -> tuple[Verdict, str]:
    story = read_stream(seen.body, ask.path)
    if story.strange:
        return Verdict.WRONG, story.strange
    if not ask.text.startswith(story.text):
        return Verdict.WRONG, "another text"
    if story.error is not None and seen.end in (End.COMPLETE, End.CLOSED):
        return Verdict.CUT, f"error frame {story.error}"
    if seen.end is not End.COMPLETE:
        return _EARLY[seen.end]
    if not (story.done and story.finished and story.text == ask.text):
        return Verdict.WRONG, "cut, and looks whole"
    return _with_usage(ask, story.usage)
