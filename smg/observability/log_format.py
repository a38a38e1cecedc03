"""One log line as text or as a JSON object (operations 1.7.1).

Runs on the log thread. Nothing that comes from a request may start a line of its own or reach a
terminal as a control sequence: what is not printable is escaped, known secrets are blotted out.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import orjson

_TRACEBACK = logging.Formatter()
_COLOURS = {"ERROR": "\x1b[31m", "WARN": "\x1b[33m", "INFO": "\x1b[32m", "DEBUG": "\x1b[34m"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class Line:
    """What both formats are made from. `fields` values may be anything, bytes included."""

    __slots__ = (
        "created",
        "exception",
        "fields",
        "filename",
        "level",
        "lineno",
        "message",
        "target",
    )

    def __init__(
        self,
        created: float,
        level: int,
        target: str,
        filename: str,
        lineno: int,
        message: str,
        fields: Mapping[str, Any],
        exception: str = "",
    ) -> None:
        self.created = created
        self.level = level
        self.target = target
        self.filename = filename
        self.lineno = lineno
        self.message = message
        self.fields = fields
        self.exception = exception


def from_record(record: logging.LogRecord) -> Line:
    """The line of a standard record; structured fields come in its attribute `fields`."""
    try:
        message = record.getMessage()
    except Exception as error:  # wrong number of arguments: show what there is
        message = f"{record.msg} {record.args!r} ({error})"
    exception = ""
    if record.exc_info and record.exc_info[0] is not None:
        exception = _TRACEBACK.formatException(record.exc_info)
    if record.stack_info:
        exception = f"{exception}\n{record.stack_info}".strip()
    return Line(
        record.created,
        record.levelno,
        target(record.name),
        record.filename,
        record.lineno,
        message,
        getattr(record, "fields", None) or {},
        exception,
    )


def target(name: str) -> str:
    """A logger name as operators know it: `smg.request` is `smg::request`."""
    return name.replace(".", "::") if name.startswith("smg.") else name


#: query parameters whose value is a credential, at clients that send it there
_SECRET_QUERY = re.compile(
    rb"([?&](?:[\w.-]*(?:key|token|secret|password|signature|credential)|auth|authorization|sig)=)"
    rb"[^&#]*",
    re.IGNORECASE,
)


def without_secrets(target: bytes) -> bytes:
    """A request target fit for a log: credentials in the query are blotted out."""
    if b"?" not in target:
        return target
    return _SECRET_QUERY.sub(rb"\1" + Redactor.MARK.encode(), target)


def level_name(level: int) -> str:
    """The level in the words of the log filter, upper case."""
    if level >= logging.ERROR:
        return "ERROR"
    if level >= logging.WARNING:
        return "WARN"
    if level >= logging.INFO:
        return "INFO"
    return "DEBUG" if level >= logging.DEBUG else "TRACE"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=64)
def _millisecond(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


def timestamp(created: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return _millisecond(int(created * 1000))


def escape(text: str) -> str:
    """The text with everything that is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if short:
        return short
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"


class Redactor:
    """Replaces known secret values wherever they turn up in a message or a field."""

    MARK = "[redacted]"
    # A shorter secret would blot out ordinary words; one that short protects nothing anyway.
    MIN_LENGTH = 4

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._forms: tuple[str, ...] = ()

    def add(self, *values: str) -> None:
        """From now on these values are not written any more."""
        self._values.update(value for value in values if len(value) >= self.MIN_LENGTH)
        if self._values:
            # Longest first, or a secret that begins with another would show its tail.
            ordered = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, ordered)))
            self._forms = tuple({form for value in ordered for form in _forms(value)})

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(self.MARK, text)

    def in_line(self, text: str) -> bool:
        """Whether a secret stands in a finished line. Nearly no line has one: a look at it all is
        a small part of what looking at every field costs.
        """
        return any(form in text for form in self._forms)


def _forms(value: str) -> tuple[str, ...]:
    """How formats may write a value."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return value, escape(value), escape(quoted), json.dumps(value)[1:-1]


class LineFormat(Protocol):
    """Turns a line into text without the newline at its end."""

    def __call__(self, line: Line) -> str: ...


class JsonFormat:
    """One object per line, fields at its top level."""

    _RESERVED = frozenset(
        ("timestamp", "level", "message", "target", "filename", "line_number", "exception")
    )

    def __init__(self, redact: Redactor) -> None:
        self.redact = redact
        # Most lines have few different messages.
        self._head = lru_cache(maxsize=512)(self._make_head)

    def __call__(self, line: Line) -> str:
        text = self._made(line, None)
        return self._made(line, self.redact) if self.redact.in_line(text) else text

    def unredacted(self, line: Line) -> str:
        """The line with what secrets it holds, for callers who look for them on their own."""
        return self._made(line, None)

    def _made(self, line: Line, redact: Redactor | None) -> str:
        data: dict[str, Any] = {}
        # Most values are bytes or numbers of the access log: those two without a call.
        for name, value in line.fields.items():
            if name in self._RESERVED:
                name += "_"
            kind = type(value)
            if kind is bytes and redact is None:
                data[name] = value.decode("utf-8", "backslashreplace")
            elif kind is int or (kind is str and redact is None):
                data[name] = value
            elif value is not None:
                data[name] = self._plain(value, redact or str)
        if line.exception:
            data["exception"] = line.exception if redact is None else redact(line.exception)
        message = line.message if redact is None else redact(line.message)
        head = self._head(line.level, message, line.target, line.filename, line.lineno)
        text = f'{{"timestamp":"{timestamp(line.created)}",{head}'
        if not data:
            return text + "}"
        return f"{text},{self._dumped(data)[1:]}"

    def _make_head(self, level: int, message: str, target: str, filename: str, lineno: int) -> str:
        place = {
            "level": level_name(level),
            "message": message,
            "target": target,
            "filename": filename,
            "line_number": lineno,
        }
        return self._dumped(place)[1:-1]

    @staticmethod
    def _dumped(data: dict[str, Any]) -> str:
        try:
            text = orjson.dumps(data).decode()
            # The first test costs nothing, where isprintable looks at every character.
            if (text.isascii() and "\x7f" not in text) or text.isprintable():
                return text
        except orjson.JSONEncodeError:  # a lone surrogate or an integer beyond 64 bits
            pass
        # orjson leaves DEL and the control characters above 0x80 as they are.
        return json.dumps(data, separators=(",", ":")).replace("\x7f", "\\u007f")

    def _plain(self, value: Any, redact: Callable[[str], str]) -> Any:
        if isinstance(value, (str, bytes)):
            return redact(_text(value))
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._plain(item, redact) for item in value]
        if isinstance(value, Mapping):
            return {redact(str(name)): self._plain(item, redact) for name, item in value.items()}
        return redact(_text(value))


class TextFormat:
    """Time, level, target, file:line, message, then `key=value`; a traceback follows indented."""

    def __init__(self, redact: Redactor, colour: bool = False) -> None:
        self._redact = redact
        self._colour = colour
        self._head = lru_cache(maxsize=512)(self._make_head)

    def _make_head(self, level: int, target: str, filename: str, lineno: int) -> str:
        name = level_name(level)
        place = escape(f"{target}: {filename}:{lineno}:")
        if self._colour:
            return f"{_COLOURS.get(name, '')}{name:>5}{_RESET} {_DIM}{place}{_RESET}"
        return f"{name:>5} {place}"

    def __call__(self, line: Line) -> str:
        text = self._made(line, str)
        return self._made(line, self._redact) if self._redact.in_line(text) else text

    def _made(self, line: Line, redact: Callable[[str], str]) -> str:
        when = timestamp(line.created)
        if self._colour:
            when = f"{_DIM}{when}{_RESET}"
        head = self._head(line.level, line.target, line.filename, line.lineno)
        text = f"{when} {head} {escape(redact(line.message))}"
        for name, value in line.fields.items():
            if value is not None:
                text += f" {name}={value if type(value) is int else _value(value, redact)}"
        if line.exception:
            # Indented, so that no line of an exception's message can pass for a log line.
            lines = redact(line.exception).splitlines()
            text += "".join(f"\n    {escape(part)}" for part in lines)
        return text


def _value(value: Any, redact: Callable[[str], str]) -> str:
    if type(value) is bytes:
        text = value.decode("utf-8", "backslashreplace")
    elif value is True or value is False:
        return "true" if value else "false"
    else:
        text = _text(value)
    text = redact(text)
    quotes = " " in text or '"' in text or "=" in text or "\\" in text or not text
    if not quotes and text.isprintable():
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(quoted)}"'


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else str(value)
