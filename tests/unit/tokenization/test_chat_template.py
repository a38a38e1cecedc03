from __future__ import annotations

import datetime

import pytest

pytest.importorskip("jinja2")

from smg.tokenization.chat_template import ChatTemplate, no_template
from smg.tokenization.content_format import content_format
from smg.tokenization.errors import LoadFailed, TemplateFailed
from smg.tokenization.messages import prepare
from smg.tokenization.thinking import Toggle, toggle
from tests.unit.tokenization.template_cases import HERE

USER = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}


def render(source, messages=(), **more):
    return ChatTemplate(source, {}).render(messages, **more)


def family(name):
    return (HERE / "templates" / f"{name}.jinja").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ tools is defined }} {{ tools is none }} {{ tools == none }}", "False True True"),
        ("{{ tools is not none and tools | length > 0 }} {{ not tools }}", "False True"),
        ("{{ tools != none }} {{ none is none }} {{ 1 is none }}|{{ tools }}", "False True False|"),
        ("{{ tools | tojson }} {{ {'a': documents} | tojson }}", 'null {"a": null}'),
        ("{{ documents is defined }} {{ documents is none }}", "False True"),
        ("{{ bos_token is defined }} {{ true }} {{ x }}|", "False True |"),
        ('{{ {"b":1,"a":"é"} | tojson }}', '{"b": 1, "a": "é"}'),
        ('{{ {"b":1,"a":"é"} | tojson(sort_keys=true, separators=(",",":")) }}', '{"a":"é","b":1}'),
        ("{{ '<a>&' | tojson }}", '"<a>&"'),
        ("{% for x in range(9) %}{% if x > 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "012"),
        ("{% generation %}a{{ 1 }}{% endgeneration %}b", "a1b"),
        ("{{ 'a b'.split()[1:] }}{{ {'k': 1}.get('k') }}", "['b']1"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"),
        ("{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}", "2"),
    ],
)
def test_the_language(source, expected):
    assert render(source) == expected


def test_the_date():
    assert render('{{ strftime_now("%Y") }}') == str(datetime.datetime.now().year)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('{{ raise_exception("bad role") }}', "Failed to apply chat template: bad role"),
        ("{{ 1 | tojson(foo=1) }}", "foo"),
        ("{{ 1 | tojson(separators=(1, 2)) }}", "separators"),
        ("{{ x.y.z }}", "undefined"),
        ("{{ tools[0] }}", "'tools' is undefined"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for x in range(99999999) %}{% endfor %}", "Range too big"),
        ("{{ 1 // 0 }}", "zero"),
    ],
)
def test_failing_is_the_clients_error(source, message):
    with pytest.raises(TemplateFailed, match=message) as failed:
        render(source, USER)
    assert failed.value.status == 400
    assert failed.value.code == "process_messages_failed"


def test_wrong_syntax_fails_at_load():
    with pytest.raises(LoadFailed, match="chat template, line 2"):
        ChatTemplate("\n{% invalid", {})
    with pytest.raises(LoadFailed, match="'tool_use', line 1"):
        ChatTemplate({"default": "", "tool_use": "{% for %}"}, {})


def test_without_a_template():
    assert str(no_template()).startswith(
        "Failed to apply chat template: Cannot use chat template functions because "
        "tokenizer.chat_template is not set"
    )


def test_named_templates():
    named = {"rag": "R", "default": "D", "tool_use": "T"}
    assert render(named) == "D"
    assert render(named, tools=[TOOL]) == "T"
    assert render({"rag": "R", "other": "O"}, tools=[TOOL]) == "R"


def test_what_overrides_what():
    source = "{{ a }}{{ b }}{{ c }}{{ add_generation_prompt }}"
    template = ChatTemplate(source, {"a": "token", "b": "token", "c": "token"})
    out = template.render(
        [], variables={"b": "ours", "c": "ours"}, kwargs={"c": 1, "add_generation_prompt": False}
    )
    assert out == "tokenours1False"


def test_an_assistants_message_is_continued():
    source = "{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}>"
    source += "{% endif %}"
    last = {"role": "assistant", "content": "Sure,"}
    assert render(source, [*USER, last], continue_final_message=True) == "[hi]>Sure,"
    assert render(source, USER, continue_final_message=True) == "[hi]>"
    assert render(source, [], continue_final_message=True) == ">"
    out = render(source, [last], continue_final_message=True, add_generation_prompt=False)
    assert out == ">Sure,"


def test_the_messages_are_not_changed_by_a_template():
    message = {"role": "user", "content": "hi", "list": [1]}
    with pytest.raises(TemplateFailed):
        render("{{ messages[0].list.append(2) }}", [message])
    assert message == {"role": "user", "content": "hi", "list": [1]}


LOOP = "{% for m in messages %}BODY{% endfor %}"
RENDERER = (
    "{% macro show(c) %}{% if c is string %}{{ c }}{% else %}{% for p in c %}{{ p }}{% endfor %}"
    "{% endif %}{% endmacro %}"
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{{ m['content'] }}", "string"),
        ("{% for p in m.content %}{% endfor %}", "openai"),
        ("{% for p in m['content'] %}{% endfor %}", "openai"),
        ("{% for p in m.content | selectattr('type') %}{% endfor %}", "openai"),
        ("{% for p in other.content %}{% endfor %}", "string"),
        ("{% if m.content[0] %}{% endif %}", "openai"),
        ("{% if x and not m.content[0].type == 'a' %}{% endif %}", "openai"),
        ("{% if m.content[0:2] %}{% endif %}", "string"),
        ("{{ m.content | length }}", "openai"),
        ("{% if m.content | length > 1 %}{% endif %}", "openai"),
        ("{% set content = m.content %}{% for i in content %}{% endfor %}", "openai"),
        ("{% set content = m.content %}{{ content }}", "string"),
        ("{% if m.content is mapping or m.content is iterable %}{% endif %}", "string"),
        ("{% if m.content is string %}{% else %}{% set content = '' %}{% endif %}", "string"),
        ("{% if x %}{% elif y %}{% for p in m.content %}{% endfor %}{% endif %}", "openai"),
        ("{% invalid", "string"),
    ],
)
def test_content_formats(body, expected):
    assert content_format(LOOP.replace("BODY", body)) == expected


def test_content_formats_of_whole_templates():
    assert content_format("") == "string"
    assert content_format(RENDERER) == "openai"
    found = {name: content_format(family(name)) for name in FAMILIES}
    assert found == FAMILIES


FAMILIES = {
    "chatml": "string",
    "header_ids": "string",
    "thinking_tools": "string",
    "inst": "string",
    "turns": "string",
    "macros": "openai",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if enable_thinking %}", Toggle("enable_thinking", True)),
        ("{% set enable_thinking = false %}", Toggle("enable_thinking", False)),
        ("{% if thinking %}", Toggle("thinking", True)),
        ("{% if not thinking is defined %}{% set thinking=false %}", Toggle("thinking", False)),
        ("{{ thinking_budget }} {{ thinking }}", None),
    ],
)
def test_thinking_toggles(template, expected):
    assert toggle(template) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (family("macros"), True),
        (family("thinking_tools"), False),
        (family("chatml"), False),
        ("{{ raise_exception('no') }}", False),
        (
            "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
            "{% if thinking %}<think>\n{% else %}</think>{% endif %}",
            True,
        ),
    ],
)
def test_who_begins_the_thoughts(source, expected):
    assert ChatTemplate(source, {}).prefill_thinks is expected


class TestMessages:
    IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
    TEXTS = [{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}]

    def content(self, content, wanted="string", **more):
        messages = [{"role": "user", "content": content}]
        [prepared] = prepare(messages, wanted, **more)
        assert messages == [{"role": "user", "content": content}]
        return prepared["content"]

    def test_texts_are_joined(self):
        assert self.content("a") == "a"
        assert self.content(self.TEXTS) == "a\nb"
        assert self.content(self.TEXTS, placeholders={"image": "<img>"}) == "<img>\na\nb"
        kept = self.content(self.TEXTS, placeholders={"image": "<img>"}, media_first=False)
        assert kept == "a\n<img>\nb"
        assert self.content([self.IMAGE]) == [self.IMAGE]

    def test_parts_keep_their_shape(self):
        a, _, b = self.TEXTS
        image = {"type": "image"}
        assert self.content(self.TEXTS, "openai") == [image, a, b]
        assert self.content(self.TEXTS, "openai", media_first=False) == [a, image, b]
        more = [{"type": "input_audio"}, {"type": "video_url"}, {"type": "other"}, "text"]
        kinds = [{"type": "audio"}, {"type": "video"}, {"type": "other"}, "text"]
        assert self.content(more, "openai") == kinds

    @pytest.mark.parametrize("message", [{"role": "assistant"}, {"role": "user", "content": None}])
    def test_no_content_is_none_and_undefined_and_empty(self, message):
        [prepared] = prepare([message], "string")
        source = "{% set c = messages[0].content %}{{ c is none }}{{ c is defined }}{{ c }}"
        assert render(source, [prepared]) == "TrueFalse"

    def test_arguments_become_objects(self):
        def call(arguments):
            function = {"name": "f", "arguments": arguments}
            return {"role": "assistant", "tool_calls": [{"id": "1", "function": function}]}

        for given, expected in (('{"x":1}', {"x": 1}), ("", {}), ({"x": 1}, {"x": 1})):
            original = call(given)
            [prepared] = prepare([original], "string")
            assert prepared["tool_calls"][0]["function"]["arguments"] == expected
            assert original == call(given)
        with pytest.raises(TemplateFailed, match=r"tool call arguments as JSON: '\{bad'"):
            prepare([call("{bad")], "string")
        odd = {"role": "assistant", "tool_calls": [None, {"function": None}, {"function": {}}]}
        assert prepare([odd], "string")[0]["tool_calls"] == odd["tool_calls"]
