"""Readers of the model cards in a posted worker (http-api 16.1); refusals are `fields.Wrong`."""

from __future__ import annotations

from typing import Any

import orjson

from smg.protocols.body import shown
from smg.workers.fields import (
    I64,
    U32,
    Reader,
    Wrong,
    array,
    choice,
    integer,
    members,
    string_map,
    text,
)
from smg.workers.model import UNKNOWN_MODEL
from smg.workers.spec import MODEL_TYPES, ModelCard

MAX_MODELS = 256
MAX_NAME = 512
MAX_PATH = 4096
MAX_TEMPLATE = 1 << 20
MAX_CLASSES = 65_536
MAX_METADATA = 1 << 16
MAX_DEPTH = 32  # an answer holds metadata some levels deep, and must be writable

_PROVIDERS = {
    "openai": "openai",
    "xai": "xai",
    "grok": "xai",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "gemini": "gemini",
    "google": "gemini",
}
_name = text(MAX_NAME)
_path = text(MAX_PATH)
_names = array(_name, MAX_MODELS)
_type_names = array(choice(MODEL_TYPES), len(MODEL_TYPES))
_type_bits = integer(1, (1 << len(MODEL_TYPES)) - 1)


def model_name(value: Any, name: str) -> str:
    """The id of a model; the wildcard is none."""
    found: str = _name(value, name)
    if found == UNKNOWN_MODEL:
        raise Wrong(
            f'{name}: "{UNKNOWN_MODEL}" stands for any model; name none to serve requests for it'
        )
    return found


def provider(value: Any, name: str) -> str:
    """An external provider; those we know under their one name, any other as given."""
    found: str = _name(value, name)
    return _PROVIDERS.get(found.lower(), found)


def models(value: Any, name: str) -> tuple[ModelCard, ...]:
    """All cards of a worker; a name may occur once among their ids and aliases."""
    cards: tuple[ModelCard, ...] = array(_card, MAX_MODELS)(value, name)
    owners: dict[str, str] = {}
    problems: list[str] = []
    for index, card in enumerate(cards):
        _claim(owners, card.id, f"{name}[{index}].id", problems)
    for index, card in enumerate(cards):
        for place, alias in enumerate(card.aliases):
            _claim(owners, alias, f"{name}[{index}].aliases[{place}]", problems)
    if problems:
        raise Wrong(*problems)
    return cards


def _claim(owners: dict[str, str], word: str, place: str, problems: list[str]) -> None:
    owner = owners.setdefault(word, place)
    if owner != place:
        problems.append(f"{place}: {shown(word)} is also {owner}; a name may be given once")


def _model_type(value: Any, name: str) -> tuple[str, ...]:
    if value.__class__ is int:
        bits = _type_bits(value, name)
        return tuple(word for bit, word in enumerate(MODEL_TYPES) if bits >> bit & 1)
    if value.__class__ is not list:
        raise Wrong(
            f"{name}: must be an array of names ({', '.join(MODEL_TYPES)}) or a bit field,"
            f" not {shown(value)}"
        )
    found: tuple[str, ...] = _type_names(value, name)
    if not found:
        raise Wrong(f"{name}: must not be empty; leave it out for the default")
    return found


def _aliases(value: Any, name: str) -> tuple[str, ...]:
    found: tuple[str, ...] = _names(value, name)
    if UNKNOWN_MODEL in found:
        place = found.index(UNKNOWN_MODEL)
        raise Wrong(f'{name}[{place}]: "{UNKNOWN_MODEL}" cannot be an alias')
    return found


def _metadata(value: Any, name: str) -> Any:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            break
    else:
        raise Wrong(f"{name}: must have at most {MAX_DEPTH} levels")
    size = len(orjson.dumps(value))
    if size > MAX_METADATA:
        raise Wrong(f"{name}: must have at most {MAX_METADATA} bytes, not {size}")
    return value


def _children(value: Any) -> list[Any]:
    if value.__class__ is dict:
        return list(value.values())
    return value if value.__class__ is list else []


_CARD: dict[str, Reader] = {
    "id": model_name,
    "display_name": _name,
    "aliases": _aliases,
    "model_type": _model_type,
    "hf_model_type": _name,
    "architectures": _names,
    "root": _path,
    "parent": _name,
    "provider": provider,
    "context_length": integer(1, I64),
    "tokenizer_path": _path,
    "chat_template": text(MAX_TEMPLATE, lines=True),
    "reasoning_parser": _name,
    "tool_parser": _name,
    "metadata": _metadata,
    "id2label": string_map(MAX_CLASSES, MAX_NAME),
    "num_labels": integer(0, U32),
}


def _card(value: Any, name: str) -> ModelCard:
    return ModelCard(**members(_CARD, value, name, required=("id",)))
