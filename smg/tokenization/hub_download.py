"""Fetches the tokenizer files of a model that the local hub cache lacks from the Hugging Face hub.

The library `huggingface_hub` does the work and keeps the files where its own tools do. It is slow
to import and waits for the network as long as it likes, so it runs on a thread of its own that
nobody has to wait for: neither a load that is given up nor the end of the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smg.tokenization.errors import LoadFailed
from smg.tokenization.hub_cache import cache_folder
from smg.tokenization.libraries import library

# Everything a tokenizer may consist of and never weights. `encoding/` is read as text.
FILES = (
    *("*tokenizer.json", "*tokenizer_config.json", "*special_tokens_map.json"),
    *("*vocab.json", "*merges.txt", "*.model", "*.tiktoken", "*.jinja"),
    *("chat_template.json", "config.json", "generation_config.json", "encoding/*.py"),
)
# How often the waiting load looks whether it was given up; seconds.
_LOOK = 0.2
_NO_USE = (401, 403, 404)  # asking again will not help


def is_offline(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user forbids the Hugging Face tools to use the network."""
    return any(
        environment.get(name, "").lower() in ("1", "on", "yes", "true")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def download(model: str, given_up: threading.Event) -> Path:
    """The directory with the files of `org/name`; errors: LoadFailed."""
    outcome: list[Path | Exception] = []

    def work() -> None:
        try:
            outcome.append(_fetch(model))
        except Exception as error:  # told to the thread that waits
            outcome.append(error)

    # A daemon: the process may end in the middle of it.
    thread = threading.Thread(target=work, name=f"hub {model}", daemon=True)
    thread.start()
    while thread.is_alive() and not given_up.is_set():
        thread.join(_LOOK)
    if not outcome:
        raise LoadFailed(f"the download of '{model}' was given up")
    found = outcome[0]
    if isinstance(found, LoadFailed):
        raise found
    if isinstance(found, Exception):
        raise _failed(model, found) from found
    return found


def _fetch(model: str) -> Path:
    hub = library("huggingface_hub")
    library("huggingface_hub.utils").disable_progress_bars()
    # The hub's own variables (HF_ENDPOINT, HF_TOKEN_PATH, ...) are the library's to read.
    token: Any = os.environ.get("HF_TOKEN") or None
    folder = hub.snapshot_download(
        model, cache_dir=cache_folder(), allow_patterns=list(FILES), token=token
    )
    return Path(folder)


def _failed(model: str, error: Exception) -> LoadFailed:
    # The library says that nothing is there, and why only in the cause.
    answers = (getattr(seen, "response", None) for seen in (error, error.__cause__))
    status = next((answer.status_code for answer in answers if answer is not None), None)
    reason = f"status {status}" if status else type(error).__name__
    bad_name = isinstance(error, ValueError) and not isinstance(error, OSError)
    return LoadFailed(
        f"Failed to download tokenizer from HuggingFace: Failed to fetch model '{model}' from "
        f"HuggingFace: {reason}. Is this a valid HuggingFace ID?",
        retryable=status not in _NO_USE and not bad_name,
    )
