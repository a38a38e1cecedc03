"""Names, aliases, and models."""

from __future__ import annotations

import pytest

from smg.core.errors import ConfigError
from smg.parsers import TokenPair, ToolParser
from smg.parsers.detection import reasoning_parser_for, tool_parser_for
from smg.parsers.loading import load
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS


def test_every_name_loads():
    for name in TOOL_PARSERS.names():
        assert issubclass(TOOL_PARSERS.kind(name), ToolParser)
    for name in REASONING_PARSERS.names():
        REASONING_PARSERS.kind(name)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("deepseek-v4", "deepseek_v4"),
        (" Qwen_XML ", "qwen_xml"),
        ("glm", "glm47_moe"),
        ("GLM45", "glm45_moe"),
        ("x", None),
        ("", None),
        ("json:PlainJson", None),
    ],
)
def test_spellings_of_tool_parsers(name: str, canonical: str | None):
    assert TOOL_PARSERS.canonical(name) == canonical


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("deepseek-r1", "deepseek_r1"),
        ("qwen-thinking", "qwen3_thinking"),
        ("Kimi", "kimi"),
        ("none", None),
    ],
)
def test_spellings_of_reasoning_parsers(name: str, canonical: str | None):
    assert REASONING_PARSERS.canonical(name) == canonical


def test_an_unknown_name_is_one_clear_error():
    with pytest.raises(ConfigError) as caught:
        TOOL_PARSERS.kind("nonsense")
    (problem,) = caught.value.problems
    assert problem.startswith("unknown tool-call parser 'nonsense', choose from cohere, deepseek")
    with pytest.raises(ConfigError, match="unknown reasoning parser 'nonsense'"):
        REASONING_PARSERS.kind("nonsense")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere_pkg:X", "ModuleNotFoundError"),
        ("os:nothing", "AttributeError"),
        ("os:system", "is no subclass of TokenPair"),
        ("os", "AttributeError"),
    ],
)
def test_what_cannot_be_loaded(target: str, said: str):
    with pytest.raises(ConfigError, match=said):
        load(target, TokenPair, "reasoning parser 'x'")


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "json"),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "pythonic"),
        ("deepseek-ai/DeepSeek-V3.2-Exp", "deepseek31"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek32"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek31"),
        ("deepseek-ai/DeepSeek-V4", "deepseek_v4"),
        ("deepseek-ai/DeepSeek-R1", "pythonic"),
        ("Qwen/QwQ-32B", "qwen"),
        ("Qwen/Qwen2.5-Coder-7B", "qwen"),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen_xml"),
        ("nvidia/Llama-3.1-Nemotron-70B", "json"),
        ("nvidia/Nemotron-3-Nano", "qwen_xml"),
        ("zai-org/GLM-4.5-Air", "glm45_moe"),
        ("zai-org/GLM-4.7", "glm47_moe"),
        ("zai-org/GLM-4-9B", "json"),
        ("moonshotai/Kimi-K2-Instruct", "kimik2"),
        ("moonshotai/Kimi-K3", "kimi_k3"),
        ("some/Inkling-1", "inkling"),
        ("MiniMaxAI/MiniMax-M2", "minimax_m2"),
        ("MiniMaxAI/MiniMax-M3", "minimax_m3"),
        ("CohereForAI/c4ai-command-r-plus", "cohere"),
        ("stepfun-ai/step3", "step3"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("nemotron-4-340b-instruct", None),
        ("NousResearch/Hermes-3", None),
        ("my-model", None),
        ("", None),
    ],
)
def test_models_and_tool_parsers(model: str, parser: str | None):
    assert tool_parser_for(model) == parser
    assert parser is None or parser in TOOL_PARSERS.names()


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek_v31"),
        ("deepseek-ai/DeepSeek-V4.1", "deepseek_v41"),
        ("Qwen/Qwen3-8B", "qwen3"),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", "qwen3_thinking"),
        ("Qwen/QwQ-32B", "qwen3"),
        ("zai-org/GLM-4.6", "glm45"),
        ("moonshotai/Kimi-K2-Thinking", "kimi_thinking"),
        ("moonshotai/Kimi-K2.5", "kimi_k25"),
        ("moonshotai/Kimi-K3", "kimi_k3"),
        ("moonshotai/Kimi-VL", "kimi"),
        ("some/Inkling-1", "inkling"),
        ("stepfun-ai/Step-3", "step3"),
        ("MiniMaxAI/MiniMax-M2", "minimax"),
        ("MiniMaxAI/MiniMax-M3", "minimax_m3"),
        ("CohereLabs/command-a-reasoning", "cohere_cmd"),
        ("nvidia/Nemotron-Nano-9B", "nano_v3"),
        ("meta-llama/Llama-3.1-8B", None),
    ],
)
def test_models_and_reasoning_parsers(model: str, parser: str | None):
    assert reasoning_parser_for(model) == parser
    assert parser is None or parser in REASONING_PARSERS.names()
