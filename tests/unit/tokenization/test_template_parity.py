"""Prompts are those of transformers, character for character."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from smg.tokenization.errors import TemplateFailed
from tests.unit.tokenization.template_cases import GOLDEN, HERE, TOKENS, cases

pytest.importorskip("jinja2")

from smg.tokenization.chat_template import ChatTemplate
from smg.tokenization.messages import prepare

KNOWN = ("messages", "tools", "documents", "add_generation_prompt", "continue_final_message")
CASES = {title: (template, arguments) for title, template, arguments in cases()}
OUTPUTS = json.loads(GOLDEN.read_text("utf-8"))


@pytest.mark.parametrize("title", CASES)
def test_golden(title):
    name, arguments = CASES[title]
    template = ChatTemplate((HERE / "templates" / f"{name}.jinja").read_text("utf-8"), TOKENS)
    named = {key: value for key, value in arguments.items() if key in KNOWN}
    named["messages"] = prepare(named["messages"], template.format_for(arguments.get("tools")))
    kwargs = {key: value for key, value in arguments.items() if key not in KNOWN}
    expected = OUTPUTS[title]
    if expected is None:
        with pytest.raises(TemplateFailed):
            template.render(**named, kwargs=kwargs)
    else:
        assert template.render(**named, kwargs=kwargs) == expected


def test_every_case_has_an_output():
    assert OUTPUTS.keys() == CASES.keys()
    assert sum(output is None for output in OUTPUTS.values()) < len(OUTPUTS) / 3


@pytest.mark.slow
def test_the_outputs_are_those_of_transformers():
    """SMG_TRANSFORMERS_PYTHON: an interpreter that has transformers, from an environment of its
    own."""
    python = os.environ.get("SMG_TRANSFORMERS_PYTHON")
    if not python:
        pytest.skip("SMG_TRANSFORMERS_PYTHON is not set")
    root = HERE.parents[2]
    command = [python, "-W", "ignore", "-m", "tests.unit.tokenization.template_cases"]
    result = subprocess.run(command, cwd=root, capture_output=True, check=True, timeout=100)
    assert json.loads(result.stdout) == OUTPUTS
