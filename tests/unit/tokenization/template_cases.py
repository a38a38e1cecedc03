"""Conversations for every template of `templates/`, and what transformers makes of them.

`python -m tests.unit.tokenization.template_cases`, run where transformers is installed, prints the
golden outputs anew (golden/templates.json). It needs nothing of SMG.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "golden" / "templates.json"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather <now> in a city, e.g. \"Zürich\" & 'Bern'",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {}}},
]
SYSTEM = {"role": "system", "content": " You are helpful. "}
USER = {"role": "user", "content": "Wie heiß ist es in Zürich?\n\n🎉 "}
ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\n 25 degrees.\n"}
AGAIN = {"role": "user", "content": "And <tomorrow>?"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 1}},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": '{"c": 25}'}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one": [USER],
    "system": [SYSTEM, USER],
    "turns": [USER, ANSWER, AGAIN],
    "system and turns": [SYSTEM, USER, ANSWER, AGAIN],
    "call": [USER, CALL, RESULT],
    "call and more": [SYSTEM, USER, CALL, RESULT, ANSWER, AGAIN],
    "wrong order": [USER, USER],
    "prefix": [USER, {"role": "assistant", "content": "Sure,"}],
}
PARTS = [{"type": "image"}, {"type": "text", "text": "What is this?"}]


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, template's name, arguments) of every case."""
    templates = sorted(path.stem for path in (HERE / "templates").glob("*.jinja"))
    for template in templates:
        for name, messages in CONVERSATIONS.items():
            for tools in (None, TOOLS):
                for generate in (True, False):
                    title = f"{template}: {name}{', tools' if tools else ''}{', open' * generate}"
                    arguments = {
                        "messages": messages,
                        "tools": tools,
                        "add_generation_prompt": generate,
                    }
                    yield title, template, arguments
    off = {"messages": [USER], "add_generation_prompt": True, "enable_thinking": False}
    yield "thinking_tools: off", "thinking_tools", off
    off = {"messages": [USER], "add_generation_prompt": True, "thinking": False}
    yield "macros: off", "macros", off
    parts = {"messages": [{"role": "user", "content": PARTS}], "add_generation_prompt": True}
    yield "macros: parts", "macros", parts
    date = {"messages": [USER], "add_generation_prompt": True, "date_string": "1 Jan"}
    yield "header_ids: date", "header_ids", date
    for template in ("chatml", "header_ids", "turns"):
        prefix = {"messages": CONVERSATIONS["prefix"], "continue_final_message": True}
        yield f"{template}: continued", template, prefix


def rendered_by_transformers() -> dict[str, str | None]:
    """The output of every case; None where the template refuses."""
    import tokenizers
    import transformers  # type: ignore[import-not-found]

    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    outputs: dict[str, str | None] = {}
    for title, template, arguments in cases():
        text = (HERE / "templates" / f"{template}.jinja").read_text("utf-8")
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=library, **TOKENS)
        more = dict(arguments)
        try:
            outputs[title] = tokenizer.apply_chat_template(
                more.pop("messages"), chat_template=text, tokenize=False, **more
            )
        except Exception:
            outputs[title] = None
    return outputs


if __name__ == "__main__":
    print(json.dumps(rendered_by_transformers(), ensure_ascii=False, indent=1))
