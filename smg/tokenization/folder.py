"""What lies beside a tokenizer: configs, end-of-sequence ids, chat templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from smg.tokenization.errors import LoadFailed

# A template is either one text or several by name (`default`, `tool_use`).
TemplateSource = str | dict[str, str]


@dataclass(slots=True)
class Folder:
    """The JSON files of a model's directory; those that are missing or broken are empty."""

    path: Path
    tokenizer_config: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    generation_config: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Read what is there."""
        return cls(
            path,
            _object(path / "tokenizer_config.json"),
            _object(path / "config.json"),
            _object(path / "generation_config.json"),
        )

    def eos_ids(self) -> list[int]:
        """Ids that end an answer, as the model's configs say: sorted, without doubles."""
        inner = self.config.get("text_config")
        found: set[int] = set()
        for config in (self.config, self.generation_config, inner):
            value = config.get("eos_token_id") if isinstance(config, dict) else None
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
                    found.add(number)
        return sorted(found)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def find_template(folder: Folder, *, config_first: bool) -> TemplateSource | None:
    """The chat template that comes with a tokenizer, if any.

    `chat_template.json`, then `chat_template.jinja`, then any other `*.jinja` by name, then the
    field of the tokenizer's config; with `config_first` (tiktoken) that field comes first, and
    unreadable files are passed over. Errors: LoadFailed.
    """
    field_value = config_template(folder.tokenizer_config)
    if config_first and field_value is not None:
        return field_value
    for path in _template_files(folder.path):
        try:
            return read_template(path)
        except LoadFailed:
            if not config_first:
                raise
    return field_value


def _template_files(folder: Path) -> list[Path]:
    named = [folder / "chat_template.json", folder / "chat_template.jinja"]
    others = sorted(path for path in folder.glob("*.jinja") if path not in named)
    return [path for path in (*named, *others) if path.is_file()]


def read_template(path: Path) -> TemplateSource:
    """A template file: Jinja text, or JSON holding one; errors: LoadFailed."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise LoadFailed(f"Failed to read chat template file: {path}: {reason}") from error
    if path.suffix.lower() != ".json":
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise LoadFailed(f"Failed to read chat template file: {path}: {error}") from error
    source = value if isinstance(value, str) else config_template(value)
    if source is None:
        raise LoadFailed(f"{path.name} does not contain a valid template")
    return source


def config_template(config: object) -> TemplateSource | None:
    """The field `chat_template`: a text, or a list of `{"name", "template"}`."""
    value = config.get("chat_template") if isinstance(config, Mapping) else None
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    named = {
        row["name"]: row["template"]
        for row in value
        if isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and isinstance(row.get("template"), str)
    }
    return named or None
