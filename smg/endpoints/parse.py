"""`POST /parse/function_call` and `POST /parse/reasoning`: what a parser makes of a whole text
(http-api 15.5, 15.6). For trying parsers out; answers of workers do not come by here.

Bodies must be JSON, whatever their content type says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from smg.core.errors import ConfigError, ParseError
from smg.parsers import ToolContext, Tools, joined
from smg.parsers.engine import Engine
from smg.parsers.harmony.detection import is_parser_name
from smg.parsers.harmony.text import HarmonyText
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS, Parsers
from smg.protocols import rules
from smg.protocols.body import PLAIN, parse
from smg.server.handlers import Response, json_response
from smg.wire.errors import JSON

if TYPE_CHECKING:
    from smg.parsers import Delta, Parsed
    from smg.server.exchange import Exchange
    from smg.tokenization.pool import EncodePool

P = TypeVar("P", bound=Engine)

MOST_TEXT = 4 << 20  # characters
_PIECE = 65_536  # fed in one call: between two of them other threads run


class Parser(Protocol):
    """`smg.parsers.Parser`, which knows when it failed."""

    @property
    def broken(self) -> bool: ...

    def feed(self, text: str) -> Sequence[Delta]: ...

    def finish(self) -> Sequence[Delta]: ...


_TOOL_RULES: dict[str, rules.Rule] = {
    "text": rules.string,
    "tool_call_parser": rules.string,
    "tools": rules.objects,
}
_REASONING_RULES: dict[str, rules.Rule] = {"text": rules.string, "reasoning_parser": rules.string}


class ParseHandlers:
    """Both handlers. `tool_parser` and `reasoning_parser` (the flags of that name) are used where
    a request names none.
    """

    def __init__(
        self, pool: EncodePool, tool_parser: str | None, reasoning_parser: str | None
    ) -> None:
        self._pool = pool
        self._tool_parser = tool_parser
        self._reasoning_parser = reasoning_parser

    async def function_call(self, exchange: Exchange) -> Response:
        """`POST /parse/function_call`."""
        raw = exchange.body
        with self._pool.admission(len(raw)):
            data = _body(raw, _TOOL_RULES, {"tool_call_parser": self._tool_parser})
            context = ToolContext(Tools(data["tools"], any_name=True))
            name = data["tool_call_parser"]
            parser: Parser
            if is_parser_name(name):
                parser = await self._harmony(context)
            else:
                parser = (await self._kind(TOOL_PARSERS, name, "tool"))(context)
            parsed = await self._parsed(parser, data["text"], "parse function calls")
        calls = [{"name": call.name, "arguments": call.arguments} for call in parsed.calls]
        return json_response(
            {
                "remaining_text": parsed.content,
                "tool_calls": [{"function": call} for call in calls],
                "success": True,
            }
        )

    async def reasoning(self, exchange: Exchange) -> Response:
        """`POST /parse/reasoning`."""
        raw = exchange.body
        with self._pool.admission(len(raw)):
            data = _body(raw, _REASONING_RULES, {"reasoning_parser": self._reasoning_parser})
            name = data["reasoning_parser"]
            parser: Parser
            if is_parser_name(name):
                parser = await self._harmony(ToolContext())
            else:
                parser = (await self._kind(REASONING_PARSERS, name, "reasoning"))()
            parsed = await self._parsed(parser, data["text"], "separate reasoning")
        return json_response(
            {
                "normal_text": parsed.content,
                "reasoning_text": parsed.reasoning,
                "success": True,
            }
        )

    async def _kind(self, parsers: Parsers[P], name: str, what: str) -> type[P]:
        # On a thread: the first use of a parser imports it, perhaps from somebody's package.
        try:
            return await self._pool.run(lambda: parsers.kind(name))
        except ConfigError as error:
            raise ParseError(
                f"Unknown {what} parser: {name[:100]}", code="unknown_parser", cause=error
            ) from error

    async def _harmony(self, context: ToolContext) -> HarmonyText:
        # On a thread: the first use reads the vocabulary.
        try:
            return await self._pool.run(lambda: HarmonyText(context))
        except ConfigError as error:
            raise ParseError(
                error.problems[0], status=503, code="harmony_not_available", cause=error
            ) from error

    async def _parsed(self, parser: Parser, text: str, what: str) -> Parsed:
        if len(text) > MOST_TEXT:
            raise ParseError(f"Failed to {what}: the text is longer than {MOST_TEXT} characters")
        parsed = await self._pool.run(lambda: _parse(parser, text))
        if parser.broken:  # a stream goes on as text; who tries a parser out wants to know
            raise ParseError(f"Failed to {what}: the parser failed, the log says why")
        return parsed


def _parse(parser: Parser, text: str) -> Parsed:
    deltas: list[Delta] = []
    for start in range(0, len(text), _PIECE):
        deltas += parser.feed(text[start : start + _PIECE])
    deltas += parser.finish()
    return joined(deltas)


def _body(
    raw: bytes, checks: dict[str, rules.Rule], defaults: dict[str, str | None]
) -> dict[str, Any]:
    """The body with `defaults` for what it leaves out; every field is required. RequestError."""
    data = parse(raw, JSON, PLAIN)
    data |= {
        name: value
        for name, value in defaults.items()
        if value is not None and data.get(name) is None
    }
    faults = rules.field_faults(checks, data)
    faults += [
        rules.required(name, data, "an array" if name == "tools" else "a string")
        for name in checks
        if data.get(name) is None
    ]
    if faults:
        raise rules.refuse(faults, PLAIN)
    return data
