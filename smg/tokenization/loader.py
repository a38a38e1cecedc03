"""From a path to a tokenizer that is ready for requests. Blocking; runs on the registry's threads.

Which file is read: `tokenizer.json`, else Qwen2's `vocab.json` with `merges.txt`, else a file of
tiktoken ranks.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from smg.tokenization.chat_template import ChatTemplate
from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.encoder import Encoder
from smg.tokenization.encodings import encoding_of, read_encoding
from smg.tokenization.errors import LoadFailed
from smg.tokenization.folder import Folder, find_template, read_template
from smg.tokenization.hf import HfEncoder
from smg.tokenization.hub_cache import is_hub_id, snapshot
from smg.tokenization.hub_download import download, is_offline
from smg.tokenization.mock import TOKENS as MOCK_TOKENS
from smg.tokenization.mock import MockEncoder
from smg.tokenization.openai_names import openai_encoding
from smg.tokenization.ranks import (
    CL100K_PATTERN,
    KIMI_PATTERN,
    RanksEncoder,
    declared_tokens,
    is_kimi,
    looks_like_ranks,
    read_ranks,
    reserved_tokens,
)
from smg.tokenization.special_tokens import named_tokens, set_template_processor
from smg.tokenization.tokenizer import Tokenizer
from smg.tokenization.vocab_merges import CLASSES, load_vocab_merges

_MOCK = ("mock", "test")
_SNIFF = 512


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tokenizer comes from: a directory, a file, a name of OpenAI's models, the id of a
    model on the hub, or `mock`; and a template file that wins over what lies beside it.
    """

    path: str
    template: str | None = None


def load(
    source: Source,
    limits: CacheLimits | None = None,
    given_up: threading.Event | None = None,
) -> Tokenizer:
    """Read everything; errors: LoadFailed. A download ends when `given_up` is set."""
    if source.path in _MOCK:
        return _finish(MockEncoder(), Folder(Path()), source, limits, MOCK_TOKENS, eos=[999])
    path = Path(source.path)
    if not path.exists():
        encoding = openai_encoding(source.path)
        if encoding is not None:
            return _finish(encoding, Folder(Path()), source, limits, {}, eos=[])
        path = _from_hub(source.path, given_up or threading.Event())
    file = _file_in(path) if path.is_dir() else path
    folder = Folder.read(file.parent)
    kind = _kind(file)
    encoder: Encoder
    if kind == "vocab":
        encoder = load_vocab_merges(file.parent, folder.tokenizer_config)
    elif kind == "json":
        encoder = HfEncoder.from_file(file)
    else:
        encoder = _ranks(file, folder)
    tokens = named_tokens(folder.tokenizer_config, encoder)
    if isinstance(encoder, HfEncoder):
        set_template_processor(encoder, folder.tokenizer_config, tokens)
    return _finish(encoder, folder, source, limits, tokens, eos=folder.eos_ids())


def _from_hub(model: str, given_up: threading.Event) -> Path:
    """The directory of a model: what the hub's tools keep, else fetched; errors: LoadFailed."""
    if not is_hub_id(model):
        raise LoadFailed(f"File not found: {model}")
    found = snapshot(model)
    if found is not None:
        try:
            _file_in(found)
        except LoadFailed:
            pass  # somebody fetched other files of the model only
        else:
            return found
    if is_offline():
        where = "no such file" if found is None else "its files in the hub cache are no tokenizer"
        raise LoadFailed(f"File not found: {model} ({where}, and the hub must not be asked)")
    found = download(model, given_up)
    try:
        _file_in(found)
    except LoadFailed as error:
        raise LoadFailed(f"No tokenizer files found for model '{model}'.") from error
    return found


def _finish(
    encoder: Encoder,
    folder: Folder,
    source: Source,
    limits: CacheLimits | None,
    tokens: dict[str, str],
    eos: list[int],
) -> Tokenizer:
    if not eos and "eos_token" in tokens:
        number = encoder.token_to_id(tokens["eos_token"])
        eos = [] if number is None else [number]
    if source.template is not None:
        template = read_template(Path(source.template))
    else:
        found = None
        if folder.path != Path():
            found = find_template(folder, config_first=isinstance(encoder, RanksEncoder))
        template = found or ""
    names: dict[str, str | list[str]] = {**tokens}
    if specials := [token.content for token in encoder.added if token.special]:
        names["additional_special_tokens"] = specials
    return Tokenizer(
        encoder,
        tokens=tokens,
        template=ChatTemplate(template, names) if template else None,
        eos_ids=eos,
        limits=limits,
    )


def _ranks(file: Path, folder: Folder) -> RanksEncoder:
    added = declared_tokens(folder.tokenizer_config)
    known = encoding_of(file)
    if known is not None and not added:
        return read_encoding(file, known)
    ranks = read_ranks(file)
    if is_kimi(folder.tokenizer_config, folder.config):
        return RanksEncoder(ranks, reserved_tokens(len(ranks), added), KIMI_PATTERN)
    return RanksEncoder(ranks, added, CL100K_PATTERN)


def _file_in(folder: Path) -> Path:
    """The file of a directory that makes its tokenizer; errors: LoadFailed."""
    if (whole := folder / "tokenizer.json").is_file():
        return whole
    vocab = folder / "vocab.json"
    has_vocab = vocab.is_file() and (folder / "merges.txt").is_file()
    if has_vocab and Folder.read(folder).tokenizer_config.get("tokenizer_class") in CLASSES:
        return vocab
    ranks = [folder / "tiktoken.model", *sorted(folder.glob("*.tiktoken"))]
    for path in ranks:
        if path.is_file():
            return path
    if looks_like_ranks(folder / "tokenizer.model"):
        return folder / "tokenizer.model"
    if has_vocab:
        return vocab  # its loader says what is missing
    raise LoadFailed(
        f"Directory '{folder}' does not contain a valid tokenizer file (tokenizer.json, "
        "tiktoken.model, *.tiktoken, or vocab.json)"
    )


def _kind(file: Path) -> str:
    """`json`, `vocab` or `ranks`; errors: LoadFailed for what we cannot read."""
    name = file.name.lower()
    if name == "vocab.json":
        return "vocab"
    if name.endswith(".json"):
        return "json"
    if name == "tiktoken.model" or name.endswith(".tiktoken"):
        return "ranks"
    if name.endswith(".gguf"):
        raise LoadFailed(f"{file}: GGUF tokenizers are not supported")
    if name.endswith(".model"):
        if looks_like_ranks(file):
            return "ranks"
        raise LoadFailed(f"{file}: SentencePiece tokenizers are not supported")
    return _sniffed(file)


def _sniffed(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            head = opened.read(_SNIFF)
    except OSError as error:
        raise LoadFailed(f"Failed to read {file}: {error.strerror}") from error
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "json"
    if head.startswith(b"GGUF"):
        raise LoadFailed(f"{file}: GGUF tokenizers are not supported")
    if b"<unk>" in head or b"\xe2\x96\x81" in head:
        raise LoadFailed(f"{file}: SentencePiece tokenizers are not supported")
    raise LoadFailed(f"{os.fspath(file)} is no tokenizer file that we know")
