"""`smg tokenize`: text to ids, and ids to text."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.offline.command import (
    Failed,
    add_model,
    load_tokenizer,
    read_text,
    run,
    write,
    write_json,
)

if TYPE_CHECKING:
    from smg.tokenization.tokenizer import Tokenizer

_HIGHEST = 2**32 - 1


def main(argv: Sequence[str]) -> int:
    """Run `smg tokenize`; the exit code."""
    parser = argparse.ArgumentParser(
        prog="smg tokenize",
        description="Show the tokens of a text, or the text of tokens, as the gateway would.",
        allow_abbrev=False,
    )
    add_model(parser)
    parser.add_argument(
        "--add-special-tokens",
        action="store_true",
        help="add what the model's tokenizer puts around a text",
    )
    parser.add_argument("--ids", action="store_true", help="print the ids only, on one line")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the answer of POST /v1/tokenize or /v1/detokenize",
    )
    parser.add_argument(
        "--decode", action="store_true", help="the input is ids, print the text that they are"
    )
    parser.add_argument(
        "--keep-special-tokens",
        action="store_true",
        help="with --decode: show special tokens too",
    )
    parser.add_argument(
        "input",
        nargs="?",
        metavar="TEXT",
        help="the text, or the ids; read from standard input if it is left out",
    )
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    tokenizer = load_tokenizer(arguments)
    if tokenizer is None:
        raise Failed("which tokenizer? --model-path or --tokenizer-path tells")
    text = read_text("-") if arguments.input is None else arguments.input
    if arguments.decode:
        decoded = tokenizer.decode(_ids(text), skip_special=not arguments.keep_special_tokens)
        if arguments.json:
            write_json({"text": decoded})
        else:
            write(decoded)
        return
    ids = tokenizer.encode(text, add_special_tokens=arguments.add_special_tokens).tolist()
    if arguments.json:
        write_json({"tokens": ids, "count": len(ids), "char_count": len(text)})
    elif arguments.ids:
        write(" ".join(map(str, ids)) + "\n")
    else:
        write("".join(f"{number:>8}  {_shown(tokenizer, number)}\n" for number in ids))
        write(f"{len(ids)} tokens, {len(text)} characters\n")


def _shown(tokenizer: Tokenizer, number: int) -> str:
    """A token as people can see it: its text between quotes, or how the vocabulary writes it."""
    text = tokenizer.decode([number], skip_special=False)
    if "\ufffd" in text:  # a part of a character
        text = tokenizer.encoder.id_to_token(number) or text
    return json.dumps(text, ensure_ascii=False)


def _ids(text: str) -> list[int]:
    """Ids with anything usual between them: blanks, commas, brackets."""
    words = re.split(r"[\s,\[\]]+", text.strip(" \t\r\n,[]"))
    if not all(word.isdecimal() and word.isascii() for word in words if word):
        raise Failed("ids are whole numbers, with blanks or commas between them")
    ids = [int(word) for word in words if word]
    if any(number > _HIGHEST for number in ids):
        raise Failed(f"ids are at most {_HIGHEST}")
    return ids
