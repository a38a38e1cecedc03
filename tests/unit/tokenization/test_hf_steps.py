"""A `tokenizer.json` read in steps is what the library reads."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from smg.tokenization.hf_steps import in_steps
from tests.doubles import tokenizers as models

tokenizers = pytest.importorskip("tokenizers")

TEXTS = [
    "",
    "Hello, world! 12345",
    "  two\n\nlines 漢字 🎉",
    "<|im_start|>user\nhi<|im_end|>",
    "<x> a",
]


def same(raw: bytes) -> Any:
    """Read in steps, and equal to what the library reads: its own text of it, and what it does."""
    built = in_steps(raw)
    assert built is not None
    library = tokenizers.Tokenizer.from_buffer(raw)
    assert built.to_str() == library.to_str()
    for text in TEXTS:
        for special in (False, True):
            one = built.encode(text, add_special_tokens=special)
            other = library.encode(text, add_special_tokens=special)
            assert (one.ids, one.offsets) == (other.ids, other.offsets)
            assert built.decode(one.ids) == library.decode(other.ids)
    return built


def changed(made: Any, change: Callable[[dict[str, Any]], object]) -> bytes:
    whole = json.loads(made.to_str())
    change(whole)
    return json.dumps(whole).encode()


def test_byte_level():
    same(models.byte_level_library().to_str().encode())


def test_metaspace_with_all_kinds_of_added_tokens():
    plain = tokenizers.AddedToken("<x>", rstrip=True, normalized=False, special=False)
    made = models.metaspace_library(added=(*models.CHATML, "<y>"))
    made.add_tokens([plain, "word"])
    made.add_special_tokens(["<z>"])
    built = same(made.to_str().encode())
    kinds = {token.content: token.special for token in built.get_added_tokens_decoder().values()}
    assert (kinds["<x>"], kinds["<y>"], kinds["<z>"], kinds["word"]) == (False, True, True, False)


def test_merges_as_text_and_as_pairs():
    def older(whole: dict[str, Any]) -> None:
        whole["model"]["merges"] = [" ".join(merge) for merge in whole["model"]["merges"]]

    made = models.byte_level_library()
    assert same(changed(made, older)).to_str() == made.to_str()


def test_options_of_the_model():
    made = models.byte_level_library()
    for name, value in (
        ("unk_token", "a"),
        ("fuse_unk", True),
        ("byte_fallback", True),
        ("ignore_merges", True),
        ("end_of_word_suffix", "</w>"),
        ("dropout", None),
    ):
        same(changed(made, lambda whole, set_to={name: value}: whole["model"].update(set_to)))


def test_a_template_that_adds_tokens_stays():
    made = models.byte_level_library()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 400 + 1)]
    )
    made.enable_truncation(5)
    same(made.to_str().encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole["model"].update(new_option=1),
        lambda whole: whole["model"].update(type="WordLevel"),
        lambda whole: whole["model"].update(merges=[["not", "there"]]),
        lambda whole: whole["model"].update(merges=["a b c"]),
        lambda whole: whole["model"].pop("vocab"),
        lambda whole: whole["added_tokens"][0].update(id=7),
        lambda whole: whole["added_tokens"][0].update(new=1),
        lambda whole: whole.pop("added_tokens"),
        lambda whole: whole.update(normalizer={"type": "None such"}),
        lambda whole: whole.update(
            added_tokens=[
                {**whole["added_tokens"][0], "content": str(n), "special": n % 2 == 0}
                for n in range(40)
            ]
        ),
    ],
)
def test_what_is_not_as_expected_is_left_to_the_library(change: Any):
    assert in_steps(changed(models.byte_level_library(), change)) is None


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"model": 5}'])
def test_what_is_no_tokenizer(raw: bytes):
    assert in_steps(raw) is None


@pytest.mark.parametrize("name", ["deepseek", "tiny-llama"])
def test_real_ones(name: str):
    path = pathlib.Path(models.real_path(name))
    same((path / "tokenizer.json" if path.is_dir() else path).read_bytes())
