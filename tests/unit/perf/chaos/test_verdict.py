from __future__ import annotations

import json

import pytest

from perf.chaos.asks import CHAT, COMPLETIONS, Ask, asks
from perf.chaos.verdict import NOTHING_CAME, End, Seen, Verdict, judge, read_stream
from smg.wire.errors import stream_error_frame

STREAM = Ask(number=7, path=CHAT, prompt="Question 7", tokens=4, stream=True)
WHOLE = Ask(number=8, path=COMPLETIONS, prompt="Question 8", tokens=4, stream=False, echo=True)
DONE = b"data: [DONE]\n\n"


def frame(text: str = "", finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def usage_frame(tokens: int = STREAM.prompt_tokens) -> bytes:
    return (
        b"data: "
        + json.dumps({"choices": [], "usage": {"prompt_tokens": tokens}}).encode()
        + b"\n\n"
    )


def whole(text: str = WHOLE.text, tokens: int = WHOLE.prompt_tokens) -> bytes:
    usage = {"prompt_tokens": tokens}
    return json.dumps({"choices": [{"index": 0, "text": text}], "usage": usage}).encode()


GOOD = frame(STREAM.text[:5]) + frame(STREAM.text[5:]) + frame("", "length") + usage_frame() + DONE
HALF = frame(STREAM.text[:5])
TOLD = HALF + stream_error_frame("upstream_stream_cut", "cut")


def complete(body: bytes) -> Seen:
    return Seen(End.COMPLETE, 200, body=body)


@pytest.mark.parametrize(
    ("seen", "verdict", "reason"),
    [
        (complete(GOOD), Verdict.RIGHT, ""),
        (complete(b": keep-alive\n\n" + GOOD), Verdict.RIGHT, ""),
        (Seen(End.COMPLETE, 200, request_id="chaos-7", body=GOOD), Verdict.RIGHT, ""),
        # told
        (complete(TOLD), Verdict.CUT, "error frame upstream_stream_cut"),
        (Seen(End.CLOSED, 200, body=TOLD), Verdict.CUT, "error frame upstream_stream_cut"),
        (Seen(End.CLOSED, 200, body=HALF), Verdict.CUT, "framing broken off"),
        (Seen(End.CLOSED, 200, body=HALF + b'data: {"cho'), Verdict.CUT, "framing broken off"),
        (Seen(End.CLOSED, 200), Verdict.CUT, "framing broken off"),
        (Seen(End.MALFORMED, 200, body=HALF), Verdict.CUT, "framing malformed"),
        # not told
        (complete(HALF), Verdict.WRONG, "cut, and looks whole"),
        (complete(HALF + DONE), Verdict.WRONG, "cut, and looks whole"),
        (complete(GOOD[: -len(DONE)]), Verdict.WRONG, "cut, and looks whole"),
        (complete(b""), Verdict.WRONG, "cut, and looks whole"),
        # not the answer
        (complete(frame("Something else") + GOOD), Verdict.WRONG, "another text"),
        (Seen(End.CLOSED, 200, body=frame("Something")), Verdict.WRONG, "another text"),
        (complete(GOOD + HALF), Verdict.WRONG, "frames after [DONE]"),
        (
            complete(b"data: {half\n\n" + TOLD),
            Verdict.WRONG,
            "a frame that is no JSON of an engine",
        ),
        (
            complete(GOOD.replace(usage_frame(), usage_frame(99))),
            Verdict.WRONG,
            "the usage of another request",
        ),
        (
            Seen(End.COMPLETE, 200, request_id="chaos-8", body=GOOD),
            Verdict.WRONG,
            "the id of another request",
        ),
        (Seen(End.COMPLETE, 200, framed=False, body=GOOD), Verdict.WRONG, "no framing"),
        (Seen(End.COMPLETE, 200, body=GOOD, extra=True), Verdict.WRONG, "bytes after the answer"),
        (Seen(End.MALFORMED), Verdict.WRONG, "not HTTP"),
        # nothing of an answer
        (Seen(End.CLOSED), Verdict.FAILED, "closed without an answer"),
        (
            Seen(End.COMPLETE, 503, body=b'{"error": {"code": "no_available_workers"}}'),
            Verdict.FAILED,
            "status 503 no_available_workers",
        ),
        (Seen(End.COMPLETE, 502, body=b"Bad gateway"), Verdict.FAILED, "status 502"),
        # no end
        (Seen(End.PATIENCE), Verdict.HUNG, NOTHING_CAME),
        (Seen(End.PATIENCE, 200, body=HALF), Verdict.HUNG, "in the answer"),
        (Seen(End.PATIENCE, 200, body=TOLD), Verdict.HUNG, "in the answer"),
        # the client's own doing; what it got until then is judged all the same
        (Seen(End.LEFT), Verdict.LEFT, ""),
        (Seen(End.LEFT, 200, body=HALF), Verdict.LEFT, ""),
        (Seen(End.LEFT, 200, body=frame("Something")), Verdict.WRONG, "another text"),
    ],
)  # fmt: skip
def test_streams(seen: Seen, verdict: Verdict, reason: str) -> None:
    assert judge(STREAM, seen) == (verdict, reason)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (complete(whole()), Verdict.RIGHT),
        (complete(whole(text=WHOLE.text + "!")), Verdict.WRONG),
        (complete(whole(tokens=99)), Verdict.WRONG),
        (complete(whole()[:-4]), Verdict.WRONG),
        (complete(b'{"error": {"code": "x"}}'), Verdict.WRONG),
        (Seen(End.CLOSED, 200, body=whole()[:-4]), Verdict.CUT),
        (Seen(End.PATIENCE, 200, body=whole()[:-4]), Verdict.HUNG),
        (Seen(End.LEFT, 200), Verdict.LEFT),
        (Seen(End.COMPLETE, 500, body=whole()), Verdict.FAILED),
    ],
)
def test_whole_answers(seen: Seen, verdict: Verdict) -> None:
    assert judge(WHOLE, seen)[0] is verdict


def test_a_piece_of_a_frame_is_no_frame() -> None:
    story = read_stream(GOOD[:-3], CHAT)
    assert story.text == STREAM.text
    assert (story.finished, story.done, story.strange) == (True, False, "")


def test_the_mix_is_of_everything_and_repeats() -> None:
    first, again = asks(3), asks(3)
    some = [next(first) for _ in range(400)]
    assert some == [next(again) for _ in range(400)]
    for shape in (CHAT, COMPLETIONS):
        for stream in (True, False):
            ours = [one for one in some if one.path == shape and one.stream is stream]
            assert any(one.leaves is None for one in ours)
    assert any(one.leaves is not None for one in some)
    assert any(len(one.prompt) > 32_000 for one in some)
    assert any(one.echo for one in some)


def test_answers_to_other_requests_are_told_apart() -> None:
    """By text, or by the count of prompt tokens: any two of many requests differ in one."""
    mix = asks(1)
    some = [next(mix) for _ in range(300)]
    marks = {(one.path, one.text, one.prompt_tokens, one.stream) for one in some}
    assert len(marks) > 0.99 * len(some)
