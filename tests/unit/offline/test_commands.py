"""`smg tokenize`, `smg render`, `smg parse`."""

from __future__ import annotations

import io
import json
import os
import pathlib
import sys
from typing import Any

import pytest

from smg.cli import main
from smg.parsers.harmony import encoding as harmony

pytest.importorskip("jinja2")


class Shell:
    """Runs commands in this process: (exit code, stdout, stderr)."""

    def __init__(self, capsys: Any, monkeypatch: Any) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, given: str = "") -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        code = main(list(words))
        said = self._capsys.readouterr()
        return code, said.out.decode(), said.err.decode()

    def json(self, *words: str, given: str = "") -> Any:
        """The JSON that a command prints; it must not fail."""
        code, out, err = self(*words, given=given)
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def smg(capsysbinary: Any, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsysbinary, monkeypatch)


MOCK = ("tokenize", "--model-path", "mock")


def test_text_to_ids(smg):
    table = '       1  "Hello"\n       2  "world"\n2 tokens, 11 characters\n'
    assert smg(*MOCK, "Hello world") == (0, table, "")
    assert smg(*MOCK, given="Hello world")[1] == table
    assert smg(*MOCK, "--ids", "Hello world")[1] == "1 2\n"
    got = smg.json(*MOCK, "--json", "Hello né")
    assert got == {"tokens": [1], "count": 1, "char_count": 8}
    assert (
        smg("tokenize", "--model", "none", "--tokenizer-path", "mock", "--ids", "test")[1] == "3\n"
    )


def test_ids_to_text(smg):
    for ids in ("1 2", "1,2", "[1, 2]", "1\n2\n"):
        assert smg(*MOCK, "--decode", ids) == (0, "Hello world", "")
    assert smg(*MOCK, "--decode", given="[1,999]")[1] == "Hello"
    assert smg(*MOCK, "--decode", "--keep-special-tokens", "1 999")[1] == "Hello <eos>"
    assert smg.json(*MOCK, "--decode", "--json", "") == {"text": ""}


def test_special_tokens(smg, tmp_path):
    from tests.doubles import tokenizers as models

    config = {"add_bos_token": True, "bos_token": "<|endoftext|>"}
    folder = str(models.write_model(tmp_path, tokenizer_config=config))
    plain = smg("tokenize", "--model-path", folder, "--ids", "a")[1].split()
    added = smg("tokenize", "--model-path", folder, "--ids", "--add-special-tokens", "a")[1].split()
    assert added[1:] == plain
    # A part of a character is shown as the vocabulary writes it.
    assert '"ðŁ' in smg("tokenize", "--model-path", folder, "🎈")[1]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("tokenize", "x"), 1, "which tokenizer?"),
        (("tokenize", "--model-path", "/none", "x"), 1, "File not found: /none"),
        ((*MOCK, "--decode", "1 x"), 1, "ids are whole numbers"),
        ((*MOCK, "--decode", "4294967296"), 1, "ids are at most"),
        ((*MOCK, "--nope"), 2, "unrecognized arguments"),
        (("render", "x.json"), 1, "which template?"),
        (("render", "--model-path", "mock", "x.json"), 1, "tokenizer.chat_template is not set"),
        (("render", "--chat-template", "/none.jinja"), 1, "Failed to read chat template file"),
        (("parse", "/none"), 1, "which parser?"),
        (("parse", "--model", "gpt-none", "-"), 1, "no parser is known"),
        (("parse", "--tool-call-parser", "none"), 1, "unknown tool-call parser 'none'"),
        (("parse", "--reasoning-parser", "base", "/none"), 1, "/none: No such file"),
        (("parse", "--reasoning-parser", "base", "--chunk", "0"), 2, "whole number from 1 on"),
    ],
)  # fmt: skip
def test_mistakes(smg, words, code, told):
    got, out, err = smg(*words)
    assert (got, out) == (code, "")
    assert told in err


@pytest.mark.parametrize("command", ["tokenize", "render", "parse"])
def test_help(smg, command):
    code, out, _ = smg(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: smg {command}")


TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}{{ mood }}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TALK = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def template(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "t.jinja"
    path.write_text(TEMPLATE)
    return str(path)


def test_render(smg, template, tmp_path):
    render = ("render", "--chat-template", template)
    talk = json.dumps(TALK)
    assert smg(*render, given=talk) == (0, "<user>Hello<assistant>", "")
    file = tmp_path / "talk.json"
    file.write_text(json.dumps({"messages": TALK, "chat_template_kwargs": {"mood": "good"}}))
    assert smg(*render, "--no-generation-prompt", str(file))[1] == "<user>Hellogood"
    assert smg(*render, "--kwarg", "mood=7", str(file))[1] == "<user>Hello7<assistant>"
    assert smg(*render, "--kwarg", "mood=bad", str(file))[1] == "<user>Hellobad<assistant>"
    more = json.dumps([*TALK, {"role": "assistant", "content": "Su"}])
    got = smg(*render, "--continue-final-message", given=more)[1]
    assert got == "<user>Hello<assistant>Su"
    tools = tmp_path / "tools.json"
    tools.write_text('[{"a": 1}]')
    assert '[{"a": 1}]' in smg(*render, "--tools", str(tools), given=talk)[1]
    assert smg.json(*render, "--json", given=talk) == {"prompt": "<user>Hello<assistant>"}
    got = smg.json(*render, "--model-path", "mock", "--json", given=talk)
    assert got == {"prompt": "<user>Hello<assistant>", "tokens": []}
    for given, told in (
        ("{", "is not JSON"),
        ("5", "a conversation is"),
        ("{}", "messages must be"),
        ("[5]", "messages must be"),
        ('{"messages": [], "tools": 5}', "tools must be"),
        ('{"messages": [], "chat_template_kwargs": 5}', "chat_template_kwargs must be"),
    ):
        code, out, err = smg(*render, given=given)
        assert (code, out) == (1, ""), given
        assert told in err
    assert "must be KEY=VALUE" in smg(*render, "--kwarg", "x", given=talk)[2]


ANSWER = '<think>a\n</think>b <tool_call>{"name": "f", "arguments": {"id": 7}}</tool_call>'
CALL = {"type": "function", "function": {"name": "f", "arguments": '{"id":7}'}}


def test_parse(smg, tmp_path):
    whole = smg.json("parse", "--model", "org/Qwen3-8B", given=ANSWER)
    assert whole == {"content": "b ", "reasoning_content": "a\n", "tool_calls": [CALL]}
    named = ("parse", "--tool-call-parser", "Qwen", "--reasoning-parser", "qwen3")
    assert smg.json(*named, given=ANSWER) == whole
    only = smg.json("parse", "--reasoning-parser", "qwen3", given=ANSWER)
    assert only["content"].startswith("b <tool_call>")
    inside = smg.json("parse", "--reasoning-parser", "qwen3", "--in-reasoning", given="a</think>b")
    assert inside == {"content": "b", "reasoning_content": "a"}
    tools = tmp_path / "tools.json"
    tools.write_text('[{"type": "function", "function": {"name": "g"}}]')
    undeclared = smg.json(
        "parse", "--tool-call-parser", "qwen", "--tools", str(tools), given=ANSWER
    )
    assert "tool_calls" not in undeclared
    assert smg.json(*named, given="") == {"content": ""}


@pytest.mark.parametrize("size", ["1", "4", "1000"])
def test_parse_a_stream(smg, size):
    command = ("parse", "--model", "qwen3", "--stream", "--chunk", size)
    code, out, _ = smg(*command, given=ANSWER)
    assert code == 0
    deltas = [json.loads(line) for line in out.splitlines()]
    assert "".join(delta.get("content", "") for delta in deltas) == "b "
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "a\n"
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert calls[0]["function"] == {"name": "f", "arguments": ""}
    assert "".join(call["function"]["arguments"] for call in calls) == '{"id":7}'


HARMONY = (
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant"
    '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"id":7}<|call|>\n'
)
harmony_is_there = pytest.mark.skipif(
    not harmony.vocabulary_is_there(os.environ), reason="no vocabulary on disk"
)


@harmony_is_there
@pytest.mark.parametrize(
    "words",
    [
        ("--model", "openai/gpt-oss-20b"),
        ("--tool-call-parser", "harmony"),
        ("--reasoning-parser", "gpt-oss", "--tool-call-parser", "harmony"),
    ],
)
def test_parse_harmony(smg, words):
    whole = smg.json("parse", *words, given=HARMONY)
    assert whole == {"content": "", "reasoning_content": "a", "tool_calls": [CALL]}
    code, out, _ = smg("parse", *words, "--stream", "--chunk", "3", given=HARMONY)
    assert code == 0
    deltas = [json.loads(line) for line in out.splitlines()]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"id":7}'


def test_harmony_stands_alone(smg):
    words = ("parse", "--tool-call-parser", "harmony", "--reasoning-parser", "qwen3")
    code, out, err = smg(*words, given=HARMONY)
    assert (code, out) == (1, "")
    assert "qwen3 cannot stand beside it" in err


@harmony_is_there
def test_render_harmony(smg, tmp_path):
    render = ("render", "--model", "gpt-oss-20b")
    talk = json.dumps({"messages": TALK, "reasoning_effort": "high"})
    code, prompt, err = smg(*render, given=talk)
    assert (code, err) == (0, "")
    assert "Reasoning: high" in prompt
    assert "Current date: " in prompt
    assert prompt.endswith("<|start|>user<|message|>Hello<|end|><|start|>assistant")
    assert smg(*render, "--no-generation-prompt", given=talk)[1].endswith("<|end|>")
    low = smg.json(*render, "--json", "--kwarg", "reasoning_effort=low", given=talk)
    assert "Reasoning: low" in low["prompt"]
    assert low["tokens"] == harmony.load().encode(low["prompt"], allowed_special="all")
    # A directory says by its config what it is, whatever it is called.
    (tmp_path / "config.json").write_text('{"model_type": "gpt_oss"}')
    assert smg("render", "--model-path", str(tmp_path), given=talk)[1] == prompt
    for words, told in (
        (("--continue-final-message",), "cannot be left open"),
        (("--kwarg", "mood=7"), "mood: Harmony has no template"),
    ):
        code, out, err = smg(*render, *words, given=talk)
        assert (code, out) == (1, "")
        assert told in err
    code, _, err = smg(*render, given='[{"role": "nobody", "content": ""}]')
    assert (code, "cannot be written in Harmony" in err) == (1, True)


def test_a_template_wins_over_harmony(smg, template, tmp_path):
    from tests.doubles import tokenizers as models

    folder = str(models.write_model(tmp_path, config={"model_type": "gpt_oss"}))
    words = ("render", "--model", folder, "--chat-template", template)
    assert smg(*words, given=json.dumps(TALK))[1] == "<user>Hello<assistant>"


def test_harmony_without_its_vocabulary(smg, monkeypatch, tmp_path):
    pytest.importorskip("openai_harmony")
    monkeypatch.setattr(harmony, "_loaded", [])
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    for words in (("parse", "--model", "gpt-oss"), ("render", "--model", "gpt-oss")):
        code, out, err = smg(*words, given=json.dumps(TALK))
        assert (code, out) == (1, "")
        assert "name that in TIKTOKEN_ENCODINGS_BASE" in err
