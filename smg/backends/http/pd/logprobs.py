"""Log-probabilities of a prompt that was read elsewhere.

The decode worker knows only those of what it generated; those of the prompt are in the prefill
worker's answer. Pure, over bytes; whatever does not look as expected stays as it is. Rules:
routing-reliability 23.1, 30 #23.
"""

from __future__ import annotations

from typing import Any

import orjson

from smg.protocols import splice

_META, _FIELD = "meta_info", "input_token_logprobs"
_DATA, _END = b"data: ", b"\n\n"
#: bytes of an unfinished event that are kept at most; a longer one passes as it is
_LONGEST_EVENT = 16 << 20


def wanted(endpoint: str, data: dict[str, Any]) -> bool:
    """Whether the client asked for log-probabilities."""
    if endpoint == "generate":
        asked = data.get("return_logprob")
        return asked is True or (isinstance(asked, list) and True in asked)
    if endpoint == "chat":
        return data.get("logprobs") is True
    return endpoint == "completions" and data.get("logprobs") is not None


def of_prompt(answer: bytes) -> list[bytes]:
    """The log-probabilities of each prompt in a prefill's answer, as JSON arrays: one for an
    object, one per item for an array; of a stream the first event that has any. Empty if there are
    none.
    """
    for text in _events(answer) if answer.lstrip().startswith(b"data:") else (answer,):
        value = _parsed(text)
        if value is None:
            continue
        texts = splice.array_items(text) if isinstance(value, list) else [text]
        values = value if isinstance(value, list) else [value]
        if values and all(_has(one) for one in values):
            return [splice.member_value(_meta(one), _FIELD) for one in texts]
    return []


def merged(answer: bytes, prompts: list[bytes]) -> bytes:
    """A whole answer of decode with the prompts' log-probabilities before its own."""
    value = _parsed(answer)
    if isinstance(value, dict):
        return _one(answer, value, prompts[0]) if len(prompts) == 1 else answer
    if not isinstance(value, list) or len(value) != len(prompts):
        return answer
    items = splice.array_items(answer)
    done = [_one(*entry) for entry in zip(items, value, prompts, strict=True)]
    return b"[" + b",".join(done) + b"]"


class StreamMerge:
    """Puts them into the first event of a stream that has a place for them; everything after it
    passes untouched.
    """

    def __init__(self, prompts: list[bytes]) -> None:
        self._prompts = prompts
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        """What can go out now; the rest of an event comes with the next piece."""
        if len(self._prompts) != 1:
            return data
        data = self._waiting + data
        end = data.rfind(_END)
        if end < 0:
            self._waiting = data
            if len(data) <= _LONGEST_EVENT:
                return b""
            self._prompts = []
            return self.flush()
        end += len(_END)
        self._waiting = data[end:]
        frames = data[:end].split(_END)[:-1]
        out = b"".join([self._frame(frame) + _END for frame in frames])
        if not self._prompts:
            out, self._waiting = out + self._waiting, b""
        return out

    def flush(self) -> bytes:
        """What is left at the end of a stream."""
        left, self._waiting = self._waiting, b""
        return left

    def _frame(self, frame: bytes) -> bytes:
        if not self._prompts or not frame.startswith(_DATA):
            return frame
        text = frame[len(_DATA) :]
        value = _parsed(text)
        if not isinstance(value, dict) or not _has(value):
            return frame
        prompt = self._prompts.pop()
        return _DATA + _one(text, value, prompt)


def _one(text: bytes, value: Any, prompt: bytes) -> bytes:
    """One answer object."""
    if not _has(value):
        return text
    meta = _meta(text)
    own = splice.member_value(meta, _FIELD)
    joined = splice.array_items(prompt) + splice.array_items(own)
    meta = splice.edit(meta, {_FIELD: b"[" + b",".join(joined) + b"]"})
    return splice.edit(text, {_META: meta})


def _has(value: Any) -> bool:
    meta = value.get(_META) if isinstance(value, dict) else None
    return isinstance(meta, dict) and isinstance(meta.get(_FIELD), list)


def _meta(text: bytes) -> bytes:
    return splice.member_value(text, _META)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _events(answer: bytes) -> list[bytes]:
    return [frame[len(_DATA) :] for frame in answer.split(_END) if frame.startswith(_DATA)]
