"""What the benchmark of parsers measures are calls, by every format there is."""

from __future__ import annotations

import json

import pytest

from perf.micro.bench_parsers import FORMATS, NAME, TOOLS, USUAL, call
from smg.parsers import ToolContext
from smg.parsers.registry import TOOL_PARSERS

#: same classes under other names, and none at all
ALIKE = {"nemotron", "qwen_coder", "passthrough"}


def test_every_format_is_measured():
    assert set(FORMATS) == set(TOOL_PARSERS.names()) - ALIKE


@pytest.mark.parametrize("name", FORMATS)
def test_its_call_is_read(name: str):
    parsed = TOOL_PARSERS.kind(name)(ToolContext(TOOLS)).parse(call(name, USUAL))
    assert [(found.name, json.loads(found.arguments)) for found in parsed.calls] == [(NAME, USUAL)]
    assert not parsed.content
