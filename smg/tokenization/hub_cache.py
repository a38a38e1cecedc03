"""Models that the Hugging Face tools have already downloaded; the network is never asked."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ID = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?", re.ASCII)


def is_hub_id(text: str) -> bool:
    """Whether this may be `org/name` of the hub, and not a path."""
    return _ID.fullmatch(text) is not None


def cache_folder() -> Path:
    """Where the hub's tools keep models."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder)
    if home := os.environ.get("HF_HOME"):
        return Path(home) / "hub"
    return Path.home() / ".cache" / "huggingface" / "hub"


def snapshot(model: str) -> Path | None:
    """The directory with the files of `org/name` at its main revision, if it is there."""
    if not is_hub_id(model):
        return None
    folder = cache_folder() / ("models--" + model.replace("/", "--"))
    try:
        revision = (folder / "refs" / "main").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    found = folder / "snapshots" / revision
    return found if revision and found.is_dir() else None
