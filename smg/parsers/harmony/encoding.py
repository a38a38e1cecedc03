"""The encoding of Harmony: from messages of a chat to token ids. Never downloads anything.

The vocabulary is one file of ranks. openai-harmony finds it by the environment; what is found here
first is what it will find.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from smg.core.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from openai_harmony import HarmonyEncoding, Message

RANKS = "o200k_base.tiktoken"
_CACHED = (
    "fb374d419588a4632f3f557e76b4b70aebbca790"  # the same file, as tiktoken names it in a cache
)
_MOST_TOLD = 300  # characters of what the library says
_TEXT = ("text", "input_text", "refusal")
_AUDIO = ("input_audio", "audio_url", "audio")

_lock = threading.Lock()
_loaded: list[HarmonyEncoding] = []


def load() -> HarmonyEncoding:
    """The encoding; read once, which takes some tenths of a second. ConfigError if the library or
    the vocabulary is not there; it may be tried again.
    """
    with _lock:
        if not _loaded:
            _loaded.append(_load())
        return _loaded[0]


def _load() -> HarmonyEncoding:
    try:
        from openai_harmony import HarmonyEncodingName, HarmonyError, load_harmony_encoding
    except ImportError as error:
        problem = "gpt-oss models need the package openai-harmony: pip install 'smg[harmony]'"
        raise ConfigError([problem]) from error
    if not vocabulary_is_there(os.environ):
        raise ConfigError(
            [
                f"gpt-oss models need the file {RANKS}: put it into a directory and name that in "
                "TIKTOKEN_ENCODINGS_BASE"
            ]
        )
    try:
        return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    except HarmonyError as error:
        raise ConfigError([f"the vocabulary of gpt-oss models cannot be read: {error}"]) from error


def vocabulary_is_there(environment: Mapping[str, str]) -> bool:
    """Whether the library will find the file on disk."""
    base = environment.get("TIKTOKEN_ENCODINGS_BASE")
    if base is not None:  # then it looks nowhere else
        return pathlib.Path(base, RANKS).is_file()
    cache = environment.get("TIKTOKEN_RS_CACHE_DIR")
    default = pathlib.Path(tempfile.gettempdir(), "tiktoken-rs-cache")
    return (pathlib.Path(cache) if cache else default).joinpath(_CACHED).is_file()


def stop_ids() -> list[int]:
    """The ids that end what the assistant writes."""
    return sorted(load().stop_tokens_for_assistant_actions())


def prompt_ids(
    messages: Iterable[Mapping[str, Any]],
    tools: Iterable[Mapping[str, Any]] = (),
    *,
    effort: str | None = None,
    date: str | None = None,
    open_answer: bool = True,
) -> list[int]:
    """The prompt for the next message of the assistant. `messages`, `tools`: as in a chat request.
    `effort`: how hard to think, low, medium or high. `date`: YYYY-MM-DD. `open_answer`: the prompt
    ends with the beginning of that message.

    ConfigError as for `load`; RequestError `harmony_build_failed` for messages or tools that have
    no place in Harmony.
    """
    encoding = load()
    from openai_harmony import Conversation, HarmonyError, Role

    try:
        head = _head(list(tools), effort, date)
        conversation = Conversation.from_messages([*head, *_history(messages)])
        if not open_answer:
            return list(encoding.render_conversation(conversation))
        return list(encoding.render_conversation_for_completion(conversation, Role.ASSISTANT))
    except (AttributeError, HarmonyError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"The conversation cannot be written in Harmony: {_what(error)}",
            code="harmony_build_failed",
            cause=error,
        ) from error


def _what(error: Exception) -> str:
    # The library checks with pydantic, which writes several lines.
    text = " ".join(str(error).split())[:_MOST_TOLD]
    return f"{text} is missing" if isinstance(error, KeyError) else text


def _head(tools: list[Mapping[str, Any]], effort: str | None, date: str | None) -> list[Message]:
    from openai_harmony import DeveloperContent, Message, Role, SystemContent, ToolDescription

    system = SystemContent.new()
    if effort is not None:
        system = system.with_reasoning_effort(_effort(effort))
    if date is not None:
        system = system.with_conversation_start_date(date)
    if not tools:
        system = system.with_required_channels(["analysis", "final"])
    head = [Message.from_role_and_content(Role.SYSTEM, system)]
    functions: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool.get("function", tool)
        functions.setdefault(function["name"], function)
    if functions:
        described = [
            ToolDescription.new(name, function.get("description") or "", function.get("parameters"))
            for name, function in functions.items()
        ]
        developer = DeveloperContent.new().with_function_tools(described)
        head.append(Message.from_role_and_content(Role.DEVELOPER, developer))
    return head


def _effort(effort: str) -> Any:
    from openai_harmony import ReasoningEffort

    names = {
        "minimal": ReasoningEffort.LOW,
        "low": ReasoningEffort.LOW,
        "high": ReasoningEffort.HIGH,
    }
    return names.get(effort, ReasoningEffort.MEDIUM)


def _history(messages: Iterable[Mapping[str, Any]]) -> Iterable[Message]:
    from openai_harmony import Author, Message, Role

    called: dict[str, str] = {}  # names by the ids of calls
    for message in messages:
        role = message.get("role")
        text = _text(message.get("content"))
        if role in ("tool", "function"):
            name = message.get("name") or called.get(message.get("tool_call_id", ""))
            author = Author.new(Role.TOOL, f"functions.{name or message.get('tool_call_id')}")
            yield Message.from_author_and_content(author, text).with_recipient("assistant")
        elif role != "assistant":
            yield Message.from_role_and_content(Role(role), text)
        elif message.get("tool_calls"):
            thought = message.get("reasoning_content")
            if thought:
                said = Message.from_role_and_content(Role.ASSISTANT, thought)
                yield said.with_channel("analysis")
            for call in message["tool_calls"]:
                function = call["function"]
                called[call.get("id", "")] = function["name"]
                said = Message.from_role_and_content(Role.ASSISTANT, function["arguments"])
                said = said.with_channel("commentary").with_content_type("json")
                yield said.with_recipient(f"functions.{function['name']}")
        else:
            yield Message.from_role_and_content(Role.ASSISTANT, text).with_channel("final")


def _text(content: Any) -> str:
    """The text of a message; parts are joined by line breaks. ValueError for what can be heard."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content or ():
        if part.get("type") in _AUDIO:
            raise ValueError("gpt-oss models take no audio")
        if part.get("type") in _TEXT:
            texts.append(part["text"])
    return "\n".join(texts)
