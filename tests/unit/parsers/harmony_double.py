"""A double of openai-harmony, for machines without its vocabulary, and answers to read."""

from __future__ import annotations

import re
from enum import Enum
from types import SimpleNamespace


class Role(Enum):
    ASSISTANT = "assistant"
    USER = "user"


class FakeEncoding:
    """A token is a special token or one character."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, text: str, allowed_special: str) -> list[int]:
        ids = []
        for piece in re.findall(r"<\|\w+\|>|.", text, re.DOTALL):
            if piece not in self.texts:
                self.texts.append(piece)
            ids.append(self.texts.index(piece))
        return ids

    def decode(self, ids: list[int], errors: str = "replace") -> str:
        return "".join(self.texts[token] for token in ids)


class FakeStream:
    """Reads heads as the library does: role, channel, recipient; attributes as there."""

    def __init__(self, encoding: FakeEncoding, role: Role) -> None:
        self.encoding = encoding
        self.head: str | None = ""
        self.current_role: Role | None = None
        self.current_channel: str | None = None
        self.current_recipient: str | None = None
        self.last_content_delta: str | None = None

    def process(self, token: int) -> None:
        text = self.encoding.texts[token]
        self.last_content_delta = None
        if text == "<|start|>":
            self.head = ""
        elif text in ("<|end|>", "<|call|>", "<|return|>"):
            self.head = self.current_role = None
        elif text == "<|message|>":
            assert self.head is not None
            self.current_role = Role.USER if self.head.startswith("user") else Role.ASSISTANT
            channel = re.search(r"<\|channel\|>(\w+)", self.head)
            self.current_channel = None if channel is None else channel[1]
            recipient = re.search(r" to=([^\s<]+)", self.head)
            self.current_recipient = None if recipient is None else recipient[1]
        elif self.current_role is not None:
            self.last_content_delta = text
        elif self.head is None:
            raise RuntimeError("no head")
        else:
            self.head += text

    def process_eos(self) -> None:
        self.last_content_delta = None
        if self.current_role is None and self.head:
            raise RuntimeError("in a head")


MODULE = SimpleNamespace(Role=Role, StreamableParser=FakeStream)


def said(channel: str, text: str, end: str = "<|end|>", to: str = "") -> str:
    to = f" to={to}" if to else ""
    return f"<|start|>assistant<|channel|>{channel}{to}<|message|>{text}{end}"


def answer(*messages: str) -> str:
    """The first message's start is in the prompt."""
    return "".join(messages).removeprefix("<|start|>assistant")
