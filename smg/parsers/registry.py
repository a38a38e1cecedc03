"""All parsers by name: ours, their aliases, and those of installed packages.

Names are compared in lower case, with `-` and `_` alike. Ours come first: a package cannot change
what a name of ours means.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from smg.core.errors import ConfigError
from smg.parsers.engine import Engine
from smg.parsers.loading import load, normal, offered
from smg.parsers.reasoning.token_pair import ReasoningParser
from smg.parsers.tool_calls.base import ToolParser

P = TypeVar("P", bound=Engine)

_TOOLS = {
    "cohere": "cohere:Cohere",
    "deepseek": "marked:DeepSeek",
    "deepseek31": "marked:DeepSeek31",
    "deepseek32": "dsml:DeepSeek32",
    "deepseek_v4": "dsml:DeepSeekV4",
    "deepseek_v41": "dsml:DeepSeekV41",
    "glm45_moe": "glm:Glm",
    "glm47_moe": "glm:Glm",
    "inkling": "inkling:Inkling",
    "json": "plain_json:PlainJson",
    "kimi_k3": "kimi_k3:KimiK3",
    "kimik2": "marked:KimiK2",
    "llama": "llama:Llama",
    "minimax_m2": "minimax:MiniMax",
    "minimax_m3": "minimax_m3:MiniMaxM3",
    "mistral": "mistral:Mistral",
    "nemotron": "qwen_xml:QwenXml",
    "passthrough": "passthrough:Passthrough",
    "pythonic": "pythonic:Pythonic",
    "qwen": "qwen:Qwen",
    "qwen_coder": "qwen_xml:QwenXml",
    "qwen_xml": "qwen_xml:QwenXml",
    "sarashina": "sarashina:Sarashina",
    "step3": "step3:Step3",
}
_REASONING = {
    "base": "token_pair:Think",
    "cohere_cmd": "token_pair:CohereCommand",
    "deepseek_r1": "token_pair:AlwaysThink",
    "deepseek_v31": "token_pair:Think",
    "deepseek_v4": "token_pair:Think",
    "deepseek_v41": "token_pair:Think",
    "glm45": "token_pair:Think",
    "inkling": "inkling:Inkling",
    "kimi": "token_pair:Kimi",
    "kimi_k3": "kimi_k3:KimiK3",
    "kimi_k25": "token_pair:Think",
    "kimi_thinking": "token_pair:AlwaysThink",
    "minimax": "token_pair:AlwaysThink",
    "minimax_m3": "token_pair:MiniMaxM3",
    "nano_v3": "token_pair:Think",
    "passthrough": "passthrough:Passthrough",
    "qwen3": "token_pair:Think",
    "qwen3_thinking": "token_pair:AlwaysThink",
    "step3": "token_pair:AlwaysThink",
}


class Parsers(Generic[P]):
    """The parsers of one kind."""

    def __init__(
        self, what: str, group: str, base: type[P], ours: dict[str, str], aliases: dict[str, str]
    ) -> None:
        self._what = what
        self._group = group
        self._base = base
        self._ours = ours
        self._aliases = aliases
        self._loaded: dict[str, type[P]] = {}

    def names(self) -> list[str]:
        """All names, sorted; with those of packages, without aliases."""
        return sorted({*self._ours, *offered(self._group)})

    def canonical(self, name: str) -> str | None:
        """The table's spelling of `name`; None if nobody offers it."""
        spelled = normal(name)
        spelled = self._aliases.get(spelled, spelled)
        return spelled if spelled in self._ours or spelled in offered(self._group) else None

    def kind(self, name: str) -> type[P]:
        """The class behind `name`. ConfigError if it is unknown or cannot be loaded."""
        canonical = self.canonical(name)
        if canonical is None:
            known = ", ".join(self.names())
            raise ConfigError([f"unknown {self._what} parser {name!r}, choose from {known}"])
        found = self._loaded.get(canonical)
        if found is None:
            target = self._ours.get(canonical) or offered(self._group)[canonical].value
            found = load(target, self._base, f"{self._what} parser {name!r}")
            self._loaded[canonical] = found  # by our spelling: clients have any number of others
        return found


TOOL_PARSERS = Parsers(
    "tool-call",
    "smg.tool_parsers",
    ToolParser,
    {name: f"smg.parsers.tool_calls.{place}" for name, place in _TOOLS.items()},
    {"glm": "glm47_moe", "glm45": "glm45_moe"},
)
REASONING_PARSERS = Parsers(
    "reasoning",
    "smg.reasoning_parsers",
    ReasoningParser,
    {name: f"smg.parsers.reasoning.{place}" for name, place in _REASONING.items()},
    {"qwen_thinking": "qwen3_thinking"},
)
