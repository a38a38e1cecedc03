"""Every recorded case, cut in every way; and what holds for any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smg.parsers import Tools
from smg.parsers.base import joined
from tests.unit.parsers.cases import channels, json_family, marked, python, xml
from tests.unit.parsers.support import (
    DECLARED,
    TOOLS,
    arguments,
    check_everywhere,
    stream,
    tool_parser,
)

CASES = {**channels.CASES, **json_family.CASES, **marked.CASES, **xml.CASES, **python.CASES}
#: the character in a key, or in a value of no interest
IGNORED = re.compile(
    r"""["'][^"']*Ω[^"']*["']\s*:|"(type|n|x|tool_call_id)": [^,}]*Ω|\[CALL_ID\][^\[]*Ω"""
    r"""|(index|type)="[^"]*Ω"""
)
SHORT = 600  # characters: cut at every place; longer ones where hypothesis says


def test_there_are_enough_cases_for_every_parser():
    assert min(len(cases) for name, cases in CASES.items() if name != "passthrough") >= 12


@pytest.mark.parametrize("name", sorted(CASES))
def test_recorded(name: str):
    for case in CASES[name]:
        tools = Tools(DECLARED, any_name=True) if case.any_name else TOOLS
        if len(case.text) > SHORT:
            parsed = tool_parser(name, tools).parse(case.text)
            for size in (1, 3, 64):
                pieces = [case.text[at : at + size] for at in range(0, len(case.text), size)]
                assert joined(stream(tool_parser(name, tools), pieces)) == parsed, case
        else:
            parsed = check_everywhere(lambda: tool_parser(name, tools), case.text)  # noqa: B023
        assert parsed.content == case.content, case
        assert tuple((call.name, arguments(call.arguments)) for call in parsed.calls) == case.calls
        assert [call.id for call in parsed.calls] == [f"call_{n}" for n in range(len(case.calls))]


@st.composite
def soup(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """A parser, and a text of pieces of its own cases, with places to cut it."""
    name = draw(st.sampled_from(sorted(CASES)))
    text = ""
    for _ in range(draw(st.integers(1, 4))):
        case = draw(st.sampled_from(CASES[name]))
        begin = draw(st.integers(0, len(case.text)))
        text += case.text[begin : draw(st.integers(begin, len(case.text)))]
        text += draw(st.sampled_from(["", " ", "\n", "<", '"', "}", "ä", "x y", "\\", "'", "]"]))
    return name, text, sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))


#: what frames the content of `kimi_k3`, and is never shown where it stands alone
CHANNEL_TAG = re.compile(r"(<\|(?:open|close)\|>\s*(?:response|message)\s*<\|sep\|>)")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(("kimi_k3", "<|open|>response<|sep|>", []))
@example(("kimi_k3", "<|open|>tools<|sep|><|open|>response<|sep|>x", [3, 30]))
@given(soup())
def test_any_text_cut_anywhere(example: tuple[str, str, list[int]]):
    name, text, places = example
    whole = tool_parser(name).parse(text)
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert joined(stream(tool_parser(name), pieces)) == whole
    assert joined(stream(tool_parser(name), text)) == whole
    if not whole.calls:
        kept = text
        for marker in getattr(tool_parser(name), "dropped", ()):
            kept = kept.replace(marker, "")
        if name == "kimi_k3":
            assert _without_some(CHANNEL_TAG, text).fullmatch(whole.content)
        else:
            assert whole.content == kept or name in ("inkling", "sarashina", "cohere", "pythonic")
    _is_subsequence(whole.content, text)


def _without_some(tag: re.Pattern[str], text: str) -> re.Pattern[str]:
    """What `text` may have become where its `tag`s, in one group, may be gone, and nothing else."""
    parts = [re.escape(part) for part in tag.split(text)]
    parts[1::2] = [f"(?:{part})?" for part in parts[1::2]]
    return re.compile("".join(parts))


def _is_subsequence(part: str, text: str) -> None:
    """Content is made of the text's characters, in order."""
    at = 0
    for character in part:
        at = text.index(character, at) + 1


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"inkling"}))  # which takes frames out
def test_a_character_that_no_format_knows_is_never_lost(name: str):
    """Put in at any place of a case: outside of calls it is content, inside an argument."""
    for case in CASES[name]:
        for size, step in ((1, 29), (7, 29), (1 << 20, 1)):
            for place in range(0, len(case.text) + 1, step):
                text = f"{case.text[:place]}Ω{case.text[place:]}"
                if IGNORED.search(text):
                    continue  # members of a call that mean nothing to us
                pieces = [text[at : at + size] for at in range(0, len(text), size)]
                parsed = joined(stream(tool_parser(name), pieces))
                out = parsed.content + "".join(
                    f"{call.name}{call.arguments}" for call in parsed.calls
                )
                assert "Ω" in out or "\\u03a9" in out, (size, text)
