"""From a model's text to content, reasoning and tool calls (docs/develop/parsers.md).

Parsers of other packages build on what is exported here.
"""

from __future__ import annotations

from smg.parsers.base import (
    Call,
    CallArguments,
    CallStart,
    Content,
    Delta,
    Parsed,
    Parser,
    Reasoning,
    joined,
)
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.ids import ids_for
from smg.parsers.markers import Markers
from smg.parsers.reasoning.token_pair import ReasoningParser, TokenPair
from smg.parsers.tool_calls.base import BlockParser, ToolContext, ToolParser
from smg.parsers.tools import Tools

__all__ = [
    "BlockParser",
    "Call",
    "CallArguments",
    "CallStart",
    "Content",
    "Delta",
    "EndOfText",
    "MalformedText",
    "Markers",
    "Parsed",
    "Parser",
    "Reasoning",
    "ReasoningParser",
    "Steps",
    "TokenPair",
    "ToolContext",
    "ToolParser",
    "Tools",
    "ids_for",
    "joined",
]
