"""Messages of the API in the shape that chat templates read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from smg.tokenization.content_format import ContentFormat
from smg.tokenization.errors import TemplateFailed
from smg.tokenization.template_language import absent

# Kinds of content parts that are not text, as templates call them.
MEDIA = {
    "image_url": "image",
    "video_url": "video",
    "audio_url": "audio",
    "input_audio": "audio",
}


def prepare(
    messages: Sequence[Mapping[str, Any]],
    content_format: ContentFormat,
    *,
    placeholders: Mapping[str, str] | None = None,
    media_first: bool = True,
) -> list[dict[str, Any]]:
    """Copies of the messages as a template expects them; the originals stay as they are.

    `placeholders`: what stands for an `image`, `video` or `audio` in a text; media without one are
    left out of it. `media_first`: media come before texts, else everything keeps its place.
    Errors: TemplateFailed for tool arguments that are not JSON.
    """
    prepared = []
    for message in messages:
        copy = dict(message)
        content = copy.get("content")
        if isinstance(content, list):
            if content_format == "openai":
                copy["content"] = _parts(content, media_first)
            else:
                copy["content"] = _text(content, placeholders or {}, media_first)
        elif content is None:
            # Some templates ask whether it is none, some whether it is defined, some just print.
            copy["content"] = absent("content")
        calls = copy.get("tool_calls")
        if copy.get("role") == "assistant" and isinstance(calls, list):
            copy["tool_calls"] = [_call(call) for call in calls]
        prepared.append(copy)
    return prepared


def _kind(part: object) -> str | None:
    """`image`, `video` or `audio` for a part that is one."""
    return MEDIA.get(part["type"]) if isinstance(part, dict) and "type" in part else None


def _parts(content: list[Any], media_first: bool) -> list[Any]:
    parts = [part if (kind := _kind(part)) is None else {"type": kind} for part in content]
    if media_first:
        media = MEDIA.values()
        parts.sort(key=lambda part: not (isinstance(part, dict) and part.get("type") in media))
    return parts


def _text(content: list[Any], placeholders: Mapping[str, str], media_first: bool) -> Any:
    pieces: list[tuple[bool, str]] = []  # (is it text, the text)
    for part in content:
        kind = _kind(part)
        if kind is not None:
            if kind in placeholders:
                pieces.append((False, placeholders[kind]))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            pieces.append((True, part["text"]))
    if not pieces:
        return content
    if media_first:
        pieces.sort(key=lambda piece: piece[0])
    return "\n".join(text for _, text in pieces)


def _call(call: Any) -> Any:
    """A tool call whose arguments are an object and not its JSON text."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return call
    try:
        parsed = orjson.loads(arguments) if arguments else {}
    except orjson.JSONDecodeError as error:
        raise TemplateFailed(
            f"Failed to parse tool call arguments as JSON: '{arguments}'", cause=error
        ) from error
    return {**call, "function": {**function, "arguments": parsed}}
