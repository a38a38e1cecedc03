"""The libraries of the extra `tokenizers`, imported when the first tokenizer needs them."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from smg.tokenization.errors import MissingLibrary


def library(name: str) -> ModuleType:
    """Import `tokenizers`, `tiktoken`, `jinja2` or `huggingface_hub`; errors: MissingLibrary."""
    # Read once, when the library is loaded. Its own threads make one long encode no faster here,
    # but each encode stalls the loop ten times longer: our pool is the parallelism.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibrary(name) from error
