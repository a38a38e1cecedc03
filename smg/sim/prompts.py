"""What a request body asks: its prompt text or token ids, the answer's length and its stop rule.

Pure reading of parsed JSON. A body the engine cannot use raises `RequestError`, which the server
renders as 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smg.core.errors import RequestError
from smg.sim.cache import CHARACTERS_PER_TOKEN
from smg.sim.settings import SimSettings

Prompt = str | Sequence[int]


def reject(message: str, param: str | None = None) -> RequestError:
    """The 400 of an engine: code is the integer 400, as vLLM and SGLang send it."""
    return RequestError(message, code=400, param=param)


def count_tokens(prompt: Prompt) -> int:
    """Four characters count as one token; token ids count themselves."""
    if isinstance(prompt, str):
        return (len(prompt) + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN or 1
    return len(prompt) or 1


def content_text(content: Any) -> str:
    """The text of a message's `content`: a string, or the text parts of a list."""
    if type(content) is str:
        return content
    if isinstance(content, list):
        texts = (
            part.get("text") or part.get("content") for part in content if isinstance(part, dict)
        )
        return " ".join(text for text in texts if isinstance(text, str))
    return ""


def chat_prompt(messages: Any) -> str:
    """All messages as one text, so that turns of one conversation share their beginning."""
    if type(messages) is not list or not messages:
        raise reject("messages must be a non-empty array", "messages")
    lines = []
    for message in messages:
        if type(message) is not dict:
            raise reject("each message must be an object", "messages")
        content = message.get("content")
        lines.append(content if type(content) is str else content_text(content))
    return "\n".join(lines) if len(lines) > 1 else lines[0]


def completion_prompts(prompt: Any) -> list[Prompt]:
    """The prompts of `/v1/completions`: a string, strings, token ids or lists of token ids."""
    if type(prompt) is str:
        return [prompt]
    if type(prompt) is not list or not prompt:
        raise reject("prompt must be a string or a non-empty array", "prompt")
    if all(type(item) is int for item in prompt):
        return [prompt]
    for item in prompt:
        if type(item) is not str and not (
            type(item) is list and all(type(one) is int for one in item)
        ):
            raise reject("prompt items must be strings or arrays of token ids", "prompt")
    return list(prompt)


def whole(data: dict[str, Any], name: str) -> int | None:
    """A non-negative integer field, or None when absent or null."""
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise reject(f"{name} must be a non-negative integer", name)
    return value


def answer_length(data: dict[str, Any], settings: SimSettings, *names: str) -> tuple[int, str]:
    """Tokens to say and the finish reason.

    The first of `names` that is set decides exactly (reason `length`); without one it is
    `--tokens`, or `min_tokens` when that is more (reason `stop`).
    """
    for name in names:
        count = whole(data, name)
        if count is not None:
            return min(max(count, 1), settings.max_model_len), "length"
    count = settings.tokens
    least = data.get("min_tokens") or data.get("min_new_tokens")
    if type(least) is int and least > count:
        count = least
    return min(count, settings.max_model_len), "stop"


def choices(data: dict[str, Any]) -> int:
    """`n`, 1 to 128."""
    count = data.get("n")
    if count is None:
        return 1
    if type(count) is not int or not 1 <= count <= 128:
        raise reject("n must be an integer from 1 to 128", "n")
    return count


def cut_at_stop(tokens: tuple[str, ...], stop: Any) -> tuple[tuple[str, ...], bool]:
    """The tokens before the first stop string; True when one was met."""
    stops = [stop] if isinstance(stop, str) else stop
    text = "".join(tokens)
    places = [text.find(one) for one in stops if isinstance(one, str) and one] if stops else []
    end = min((place for place in places if place >= 0), default=-1)
    if end < 0:
        return tokens, False
    kept: list[str] = []
    for token in tokens:
        if end <= 0:
            break
        kept.append(token[:end])
        end -= len(token)
    return tuple(kept) or ("",), True
