from __future__ import annotations

import json
import shutil

import pytest

from smg.tokenization.errors import DecodeFailed, LoadFailed
from smg.tokenization.loader import Source, load
from smg.tokenization.ranks import KIMI_RESERVED, is_kimi, read_ranks
from tests.doubles import tokenizers as models

NO_TEMPLATE = "{{ messages[0].content }}"


def load_path(path, **more):
    return load(Source(str(path), **more))


def test_a_directory_with_everything(tmp_path):
    models.write_model(
        tmp_path,
        tokenizer_config={
            "bos_token": {"content": "<|im_start|>"},
            "eos_token": "<|im_end|>",
            "chat_template": "{{ bos_token }}{{ messages[0].content }}",
        },
        config={"eos_token_id": 5, "text_config": {"eos_token_id": [9, 5]}},
        generation_config={"eos_token_id": [7]},
    )
    tokenizer = load_path(tmp_path)
    assert tokenizer.eos_ids == (5, 7, 9)
    assert tokenizer.vocab_size == 400
    assert tokenizer.template.render([{"role": "user", "content": "hi"}]) == "<|im_start|>hi"
    ids = tokenizer.encode("Hello <|im_end|>")
    assert ids[-1] == tokenizer.encoder.token_to_id("<|im_end|>")
    assert tokenizer.decode(ids) == "Hello "
    assert tokenizer.decode(ids, skip_special=False) == "Hello <|im_end|>"


def test_a_single_file_has_siblings_too(tmp_path):
    models.write_model(tmp_path, tokenizer_config={"eos_token": "<|im_end|>"})
    (tmp_path / "chat_template.jinja").write_text("beside")
    tokenizer = load_path(tmp_path / "tokenizer.json")
    assert tokenizer.template.render([]) == "beside"
    assert tokenizer.eos_ids == (tokenizer.encoder.token_to_id("<|im_end|>"),)


def test_a_file_without_a_telling_name_is_looked_into(tmp_path):
    models.write_model(tmp_path)
    shutil.move(tmp_path / "tokenizer.json", tmp_path / "thing")
    assert load_path(tmp_path / "thing").vocab_size == 400


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"chat_template.json": '{"chat_template": "J"}', "chat_template.jinja": "X"}, "J"),
        ({"chat_template.json": '"J"'}, "J"),
        ({"chat_template.jinja": "X", "another.jinja": "A"}, "X"),
        ({"custom.jinja": "C", "b.jinja": "B"}, "B"),
        ({}, "config"),
    ],
)
def test_which_template(tmp_path, files, expected):
    models.write_model(tmp_path, tokenizer_config={"chat_template": "config"})
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert load_path(tmp_path).template.render([]) == expected


def test_an_explicit_template_wins(tmp_path):
    models.write_model(tmp_path, tokenizer_config={"chat_template": "config"})
    (tmp_path / "mine.txt").write_text("mine\\n")
    explicit = str(tmp_path / "mine.txt")
    assert load_path(tmp_path, template=explicit).template.render([]) == "mine\\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"chat_template.json": "[1]"}, "chat_template.json does not contain a valid template"),
        ({"chat_template.json": "{"}, "Failed to read chat template file"),
        ({"chat_template.jinja": "line\n{% invalid"}, "chat template, line 2"),
    ],
)
def test_a_bad_template_fails_the_load(tmp_path, files, message):
    models.write_model(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(LoadFailed, match=message):
        load_path(tmp_path)


def test_a_missing_template_file(tmp_path):
    models.write_model(tmp_path)
    with pytest.raises(LoadFailed, match="Failed to read chat template file"):
        load_path(tmp_path, template=str(tmp_path / "none.jinja"))


def test_no_template_at_all(tmp_path):
    assert load_path(models.write_model(tmp_path)).template is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "does not contain a valid tokenizer file"),
        ({"tokenizer.json": b"{"}, "Failed to load tokenizer"),
        ({"vocab.json": b"{}", "merges.txt": b""}, "names no tokenizer_class"),
        ({"x.tiktoken": b"YQ== 0\nnot a rank\n"}, "line 2: expected `base64 rank`"),
        ({"x.tiktoken": b"\n"}, "has no tokens"),
        ({"x.tiktoken": b"YQ== 0\nYg== 0\n"}, "same id"),
    ],
)
def test_directories_without_a_tokenizer(tmp_path, files, message):
    pytest.importorskip("tokenizers")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(LoadFailed, match=message):
        load_path(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("spiece.model", b"\n\x0e\n\x05<unk>", "SentencePiece tokenizers are not supported"),
        ("model.gguf", b"GGUF", "GGUF tokenizers are not supported"),
        ("thing", b"GGUF\0", "GGUF tokenizers are not supported"),
        ("thing", b"\n\x0e\n\x05<unk>", "SentencePiece tokenizers are not supported"),
        ("thing", b"\x00", "is no tokenizer file"),
    ],
)
def test_files_that_are_not_supported(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LoadFailed, match=message):
        load_path(tmp_path / name)


def test_missing_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LoadFailed, match=r"^File not found: org/none \(no such file, and"):
        load_path("org/none")
    for path in ("/org/none", "./none", "org/../none"):
        with pytest.raises(LoadFailed, match=rf"^File not found: {path}$"):
            load_path(path)


def test_a_model_of_the_local_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--org--name"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    models.write_model(snapshot)
    assert load_path("org/name").vocab_size == 400
    with pytest.raises(LoadFailed):
        load_path("../name")


@pytest.mark.parametrize("name", ["tiktoken.model", "qwen.tiktoken", "tokenizer.model"])
def test_ranks(tmp_path, name):
    pytest.importorskip("tiktoken")
    models.write_ranks(tmp_path / name)
    size = len(models.ranks())
    config = {
        "added_tokens_decoder": {
            str(size + 1): {"content": "<think>", "special": False},
            str(size): {"content": "<|end|>", "special": True},
        },
        "eos_token": "<|end|>",
        "chat_template": "config",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text("file")
    tokenizer = load_path(tmp_path)
    assert tokenizer.vocab_size == size + 2
    assert tokenizer.eos_ids == (size,)
    assert tokenizer.template.render([]) == "config"
    ids = tokenizer.encode("a🎉<think><|end|>")
    assert tokenizer.decode(ids) == "a🎉<think>"
    assert tokenizer.decode(ids, skip_special=False) == "a🎉<think><|end|>"
    with pytest.raises(DecodeFailed, match="unknown token id: 99999") as failed:
        tokenizer.decode([99999])
    assert failed.value.status == 400


def test_ranks_of_a_file_with_blank_lines(tmp_path):
    path = models.write_ranks(tmp_path / "x.tiktoken", {b"a": 0, b"b": 1})
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n"))
    assert read_ranks(path) == {b"a": 0, b"b": 1}


def test_kimi(tmp_path):
    pytest.importorskip("tiktoken")
    size = len(models.ranks())
    models.write_ranks(tmp_path / "tiktoken.model")
    config = {
        "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
        "added_tokens_decoder": {str(size + 1): {"content": "<|im_end|>", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_path(tmp_path)
    assert tokenizer.vocab_size == size + KIMI_RESERVED
    assert tokenizer.encoder.id_to_token(size) == f"<|reserved_token_{size}|>"
    assert tokenizer.encoder.id_to_token(size + 1) == "<|im_end|>"
    text = "I'll go 漢字かな Ünï 123456\n\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_who_is_kimi():
    assert is_kimi({}, {"model_type": "kimi_k2"})
    assert is_kimi({"a": [{"b": "x.tokenization_kimi"}]}, {})
    assert not is_kimi({"a": "x.tokenization_kimi_v2.Y"}, {"model_type": "llama"})


def vocab_and_merges(folder, **config):
    library = models.byte_level_library(added=())
    library.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Qwen2Tokenizer", **config})
    )
    return folder


def test_vocab_and_merges(tmp_path):
    declared = {
        "400": {"content": "<|im_start|>", "special": True},
        "401": {"content": "<tool_call>", "special": False},
    }
    vocab_and_merges(tmp_path, added_tokens_decoder=declared)
    tokenizer = load_path(tmp_path)
    text = "I'll go 漢字 12 e\u0301"
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("e\u0301", "é")
    ids = tokenizer.encode("<|im_start|><tool_call>")
    assert list(ids) == [400, 401]
    assert tokenizer.decode(ids) == "<tool_call>"


def test_added_ids_must_come_out_as_declared(tmp_path):
    vocab_and_merges(tmp_path, added_tokens_decoder={"402": {"content": "<x>"}})
    with pytest.raises(LoadFailed, match="expected ID 402, got 400"):
        load_path(tmp_path)


def test_other_classes_of_vocab_and_merges(tmp_path):
    vocab_and_merges(tmp_path, tokenizer_class="GPT2Tokenizer")
    with pytest.raises(LoadFailed, match="unsupported tokenizer_class 'GPT2Tokenizer'"):
        load_path(tmp_path)


@pytest.mark.parametrize(
    ("config", "begins", "ends"),
    [
        ({}, False, False),
        ({"add_bos_token": True}, True, False),
        ({"add_eos_token": True}, False, True),
        ({"add_bos_token": True, "add_eos_token": True}, True, True),
        ({"add_bos_token": True, "bos_token": "<none>"}, False, False),
    ],
)
def test_bos_and_eos_on_request(tmp_path, config, begins, ends):
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    models.write_model(tmp_path, tokenizer_config={**names, **config})
    tokenizer = load_path(tmp_path)
    plain = tokenizer.encode("hello").tolist()
    bos, eos = (tokenizer.encoder.token_to_id(token) for token in names.values())
    expected = [*[bos] * begins, *plain, *[eos] * ends]
    assert tokenizer.encode("hello", add_special_tokens=True).tolist() == expected


def test_frequent_words_are_no_special_tokens(tmp_path):
    """Byte-level vocabularies may have `</s>` as a word; it must not end answers."""
    library = models.byte_level_library()
    words = library.get_vocab()
    assert "</s>" not in words
    pytest.importorskip("tokenizers")
    state = json.loads(library.to_str())
    state["model"]["vocab"]["</s>"] = 999
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    tokenizer = load_path(tmp_path)
    assert tokenizer.tokens == {"eos_token": "<|endoftext|>"}


def test_the_mock():
    tokenizer = load_path("mock")
    assert list(tokenizer.encode("Hello there world <eos>")) == [1, 2, 999]
    assert tokenizer.decode([1000, 1, 2, 999]) == "Hello world"
    assert tokenizer.vocab_size == 14
    assert tokenizer.eos_ids == (999,)
    assert tokenizer.tokens["bos_token"] == "<bos>"
    assert tokenizer.template is None
