"""Which parser a model needs, told from its name.

Tool parsers: of all stems that occur in the name the longest counts. Reasoning parsers: the first
pattern that occurs counts, in the order of the table. Case does not matter.
"""

from __future__ import annotations

from functools import lru_cache

_STEMS: tuple[tuple[str, str], ...] = (
    ("json", "gpt-4 gpt-4o gpt-3.5 claude- gemini- palm- gemma- llama- meta-llama- glm-"),
    ("llama", "llama-3.2 meta-llama-3.2"),
    ("pythonic", "llama-4 meta-llama-4 deepseek-"),
    ("mistral", "mistral- mixtral-"),
    ("qwen", "qwen"),
    (
        "qwen_xml",
        "qwen3.5 qwen3.6 qwen3.8 qwen3-coder qwen/qwen3.5 qwen/qwen3.6 qwen/qwen3.8 "
        "qwen/qwen3-coder nemotron-3",
    ),
    ("deepseek", "deepseek-v3 deepseek-ai/deepseek-v3"),
    (
        "deepseek31",
        "deepseek-v3.1 deepseek-v3.2-exp deepseek-ai/deepseek-v3.1 deepseek-ai/deepseek-v3.2-exp",
    ),
    ("deepseek32", "deepseek-v3.2 deepseek-ai/deepseek-v3.2"),
    ("deepseek_v4", "deepseek-v4 deepseek-ai/deepseek-v4"),
    ("deepseek_v41", "deepseek-v4.1 deepseek-ai/deepseek-v4.1"),
    ("glm45_moe", "glm-4.5 glm-4.6"),
    ("glm47_moe", "glm-4.7 glm-5"),
    ("sarashina", "sarashina"),
    ("step3", "step3 step-3"),
    ("kimik2", "kimi-k2"),
    ("kimi_k3", "kimi-k3 kimi_k3"),
    ("inkling", "inkling"),
    ("minimax_m2", "minimax"),
    ("minimax_m3", "minimax-m3"),
    ("cohere", "command-r command-r-plus command-a c4ai-command cohere cohereforai"),
)
_TOOL_STEMS = {stem: parser for parser, stems in _STEMS for stem in stems.split()}
_BY_LENGTH = sorted(_TOOL_STEMS, key=len, reverse=True)

#: (parser, patterns); more than one word in a pattern: all must occur
_REASONING: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("deepseek_r1", ("deepseek-r1",)),
    ("deepseek_v41", ("deepseek-v4.1",)),
    ("deepseek_v4", ("deepseek-v4", "deepseek_v4")),
    ("deepseek_v31", ("deepseek-v3.1", "deepseek-v3-1", "deepseek-v3.2")),
    ("qwen3_thinking", ("qwen3-thinking", "qwen-thinking", "qwen3 -thinking")),
    ("qwen3", ("qwen3", "qwen")),
    ("glm45", ("glm45", "glm47", "glm-5", "glm-4.5", "glm-4.6", "glm-4.7")),
    ("kimi_thinking", ("kimi-k2-thinking",)),
    ("kimi_k25", ("kimi-k2.5", "kimi-k2.6")),
    ("kimi_k3", ("kimi-k3", "kimi_k3")),
    ("kimi", ("kimi",)),
    ("step3", ("step3", "step-3")),
    ("minimax_m3", ("minimax-m3", "mm-m3")),
    ("minimax", ("minimax", "mm-m2")),
    ("cohere_cmd", ("command-r", "command-a", "c4ai-command", "cohere")),
    ("inkling", ("inkling",)),
    ("nano_v3", ("nemotron-nano", "nemotron-super", "nano-v3", "nemotron-3")),
)


@lru_cache(maxsize=1024)
def tool_parser_for(model: str) -> str | None:
    """The tool parser of a model; None: its text has no calls."""
    lowered = model.lower()
    return next((_TOOL_STEMS[stem] for stem in _BY_LENGTH if stem in lowered), None)


@lru_cache(maxsize=1024)
def reasoning_parser_for(model: str) -> str | None:
    """The reasoning parser of a model; None: its text has no reasoning."""
    lowered = model.lower()
    for parser, patterns in _REASONING:
        for pattern in patterns:
            if all(word in lowered for word in pattern.split()):
                return parser
    return None
