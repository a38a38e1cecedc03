"""The prompt's log-probabilities before decode's own; anything else stays as it is."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from smg.backends.http.pd import logprobs


def answer(*tokens: Any, **more: Any) -> dict[str, Any]:
    return {"text": "x", "meta_info": {"id": 1, "input_token_logprobs": list(tokens)}, **more}


def dump(value: Any) -> bytes:
    return orjson.dumps(value)


@pytest.mark.parametrize(
    ("endpoint", "data", "wanted"),
    [
        ("generate", {"return_logprob": True}, True),
        ("generate", {"return_logprob": [False, True]}, True),
        ("generate", {"return_logprob": False}, False),
        ("chat", {"logprobs": True}, True),
        ("chat", {"logprobs": False}, False),
        ("completions", {"logprobs": 0}, True),
        ("completions", {"logprobs": None}, False),
        ("messages", {"logprobs": True}, False),
    ],
)
def test_who_wants_them(endpoint: str, data: dict[str, Any], wanted: bool) -> None:
    assert logprobs.wanted(endpoint, data) is wanted


def test_objects_and_arrays() -> None:
    prompts = logprobs.of_prompt(dump(answer([-1.5, 1, None], [-2, 2, "b"])))
    merged = orjson.loads(logprobs.merged(dump(answer([-3, 3, None])), prompts))
    assert merged == answer([-1.5, 1, None], [-2, 2, "b"], [-3, 3, None])
    both = logprobs.of_prompt(dump([answer(1), answer(2)]))
    assert orjson.loads(logprobs.merged(dump([answer(3), answer()]), both)) == [
        answer(1, 3),
        answer(2),
    ]


def test_bytes_around_them_stay() -> None:
    own = b'{"n":123456789012345678901,"meta_info":{"x":2.50,"input_token_logprobs":[1.10]}}'
    merged = logprobs.merged(own, [b"[ 2.20 , [3.0]]"])
    assert merged == own.replace(b"[1.10]", b"[2.20,[3.0],1.10]")


ODD = (b"", b"{", b"1", b"[]", b"{}", b'{"meta_info":1}', dump({"meta_info": {}}), dump([1]))


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_as_expected_stays(odd: bytes) -> None:
    assert logprobs.of_prompt(odd) == []
    assert logprobs.merged(odd, [b"[1]"]) == odd
    assert logprobs.merged(dump(answer(1)), []) == dump(answer(1))
    assert logprobs.merged(dump([answer(1)]), [b"[1]", b"[2]"]) == dump([answer(1)])


def event(value: Any) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def test_of_a_stream_the_first_event_that_has_some() -> None:
    stream = event({"x": 1}) + event(answer(1, 2)) + event(answer(1, 2, 3)) + b"data: [DONE]\n\n"
    assert logprobs.of_prompt(stream) == [b"[1,2]"]


def test_a_stream_however_it_is_cut() -> None:
    stream = b": hi\n\n" + event({"x": "data: [DONE]\n\n"}) + event(answer(3)) + event(answer(4))
    stream += b"data: [DONE]\n\ndata: half"
    wanted = stream.replace(event(answer(3)), event(answer(1, 2, 3)))
    dice = random.Random(0)
    for _ in range(200):
        merge = logprobs.StreamMerge([b"[1,2]"])
        at, out = 0, b""
        while at < len(stream):
            size = dice.randrange(1, 60)
            out += merge.feed(stream[at : at + size])
            at += size
        assert out + merge.flush() == wanted


def test_an_endless_event_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logprobs, "_LONGEST_EVENT", 10)
    merge = logprobs.StreamMerge([b"[1]"])
    assert merge.feed(b"data: ") == b""
    assert merge.feed(b"123456") == b"data: 123456"
    assert merge.feed(event(answer(2))) == event(answer(2))


def test_a_batch_is_not_streamed() -> None:
    merge = logprobs.StreamMerge([b"[1]", b"[2]"])
    assert merge.feed(event(answer(3))) == event(answer(3))
