"""The named special tokens: who begins, who ends, and what templates may print."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from smg.tokenization.encoder import Encoder
from smg.tokenization.hf import HfEncoder
from smg.tokenization.libraries import library

log = logging.getLogger(__name__)

# What a token is called when the config does not say: the first that is an added token. Words of
# the vocabulary do not count: byte-level ones have `</s>` because it is frequent in web pages.
_USUAL = {
    "bos_token": ("<s>", "<|startoftext|>", "<BOS>", "[CLS]"),
    "eos_token": ("</s>", "<|endoftext|>", "<EOS>", "[SEP]"),
    "unk_token": ("<unk>", "<UNK>", "[UNK]"),
    "sep_token": ("[SEP]", "<sep>", "<SEP>"),
    "pad_token": ("<pad>", "<PAD>", "[PAD]"),
    "cls_token": ("[CLS]", "<cls>", "<CLS>"),
    "mask_token": ("[MASK]", "<mask>", "<MASK>"),
}


def configured_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Every `*_token` of a tokenizer config; the value is a text or `{"content": text}`."""
    found = {}
    for key, value in config.items():
        content = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(content, str):
            found[key] = content
    return found


def named_tokens(config: Mapping[str, Any], encoder: Encoder) -> dict[str, str]:
    """The tokens of the config, and for the usual names what is among the added tokens."""
    found = configured_tokens(config)
    added = {token.content for token in encoder.added}
    for name, usual in _USUAL.items():
        if name not in found and (offered := [token for token in usual if token in added]):
            found[name] = offered[0]
    return found


def set_template_processor(
    encoder: HfEncoder, config: Mapping[str, Any], tokens: Mapping[str, str]
) -> None:
    """Make `add_special_tokens` do what `add_bos_token` and `add_eos_token` ask for.

    A post-processor that already adds BOS is left alone when neither is asked for, also by
    `add_bos_token: false`.
    """
    needs_eos = config.get("add_eos_token") is True
    add_bos = config.get("add_bos_token")
    needs_bos = (needs_eos and len(encoder.encode("", True)) > 0) if add_bos is None else add_bos
    wanted = [("bos_token", needs_bos), ("eos_token", needs_eos)]
    chosen = {name: tokens.get(name, "") for name, needed in wanted if needed}
    ids = {text: encoder.token_to_id(text) for text in chosen.values()}
    if not chosen or None in ids.values():
        return
    pieces = [chosen.get("bos_token"), "$A", chosen.get("eos_token")]
    try:
        processor = library("tokenizers").processors.TemplateProcessing(
            single=[piece for piece in pieces if piece is not None],
            special_tokens=list(ids.items()),
        )
    except ValueError as error:  # a token with a colon cannot be written in a template
        log.warning("special tokens %s are not added: %s", list(ids), error)
        return
    encoder.library_tokenizer.post_processor = processor
