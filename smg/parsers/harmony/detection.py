"""Whether a model writes Harmony, and what that is called where a parser is named."""

from __future__ import annotations

from collections.abc import Iterable

from smg.parsers.loading import normal

#: instead of the names of two parsers: calls and thoughts are read at once
NAMES = ("harmony", "gpt_oss")
_ARCHITECTURE = "GptOssForCausalLM"
_MODEL_TYPE = "gpt_oss"
_IN_NAME = "gpt-oss"


def is_parser_name(name: str) -> bool:
    """Whether a parser of this name is Harmony's; `-` and `_` are alike."""
    return normal(name) in NAMES


def writes_harmony(
    model: str, *, architectures: Iterable[str] = (), model_type: str | None = None
) -> bool:
    """Whether a model does: by the `architectures` and the `model_type` of its config, which may
    be unknown, or by its name.
    """
    return _ARCHITECTURE in architectures or model_type == _MODEL_TYPE or _IN_NAME in model.lower()
