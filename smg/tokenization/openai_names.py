"""OpenAI's models by name: their vocabularies are public, and lie where tiktoken keeps them.

Nothing is downloaded here: tiktoken does that without any time limit. `TIKTOKEN_CACHE_DIR` holds
files named after their address, `TIKTOKEN_ENCODINGS_BASE` (openai-harmony) files with their own
names; either may be in either.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from smg.tokenization.encodings import ENCODINGS, read_encoding
from smg.tokenization.ranks import RanksEncoder

log = logging.getLogger(__name__)

_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_FOLDERS = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "TIKTOKEN_ENCODINGS_BASE")

#: which names are OpenAI's; gpt-oss is not, it is on the hub
_NAME = re.compile(
    r"gpt-\d.*|chatgpt-.*|o\d(?:-.*)?|davinci|curie|babbage|ada"
    r"|(?:text-davinci|code-davinci|text-curie|text-babbage|text-ada|text-embedding-ada"
    r"|code-cushman).*"
)
#: from a name's beginning to its encoding; the first that fits
_BY_NAME = (
    (r"gpt-4o|gpt-4\.[15]|gpt-[5-9]|chatgpt-|o\d", "o200k_base"),
    (r"gpt-[34]|text-embedding-ada", "cl100k_base"),
    (r"(?:text|code)-davinci-edit", "p50k_edit"),
    (r"text-davinci-00[23]|code-", "p50k_base"),
    (r"", "r50k_base"),
)


def encoding_name(model: str) -> str | None:
    """The encoding of one of OpenAI's models, also as `org/name`; None for all other names."""
    name = model.rpartition("/")[2]
    if _NAME.fullmatch(name) is None:
        return None
    return next(encoding for start, encoding in _BY_NAME if re.match(start, name))


def openai_encoding(model: str) -> RanksEncoder | None:
    """The tokenizer of one of OpenAI's models, if its file is there; errors: LoadFailed."""
    name = encoding_name(model)
    if name is None:
        return None
    encoding = ENCODINGS[name]
    for path in _places(encoding.file):
        if path.is_file():
            return read_encoding(path, encoding)
    log.info("%s: no file of %s where %s say", model, name, ", ".join(_FOLDERS))
    return None


def _places(file: str) -> Iterator[Path]:
    hashed = hashlib.sha1(_ADDRESS.format(file).encode(), usedforsecurity=False).hexdigest()
    for variable in _FOLDERS:
        if folder := os.environ.get(variable):
            yield Path(folder) / hashed
            yield Path(folder) / f"{file}.tiktoken"
