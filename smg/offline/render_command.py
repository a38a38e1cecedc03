"""`smg render`: the prompt that a chat template makes of a conversation."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smg.offline.command import (
    Failed,
    add_model,
    load_tokenizer,
    objects,
    read_json,
    run,
    write,
    write_json,
)


def main(argv: Sequence[str]) -> int:
    """Run `smg render`; the exit code."""
    parser = argparse.ArgumentParser(
        prog="smg render",
        description="Show the prompt that a model's chat template makes of a conversation.",
        allow_abbrev=False,
    )
    add_model(parser)
    parser.add_argument(
        "--chat-template", metavar="FILE", help="use this template; it needs no model then"
    )
    parser.add_argument(
        "--tools", metavar="FILE", help="tools as JSON; wins over those of the conversation"
    )
    parser.add_argument(
        "--kwarg",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a variable for the template, as JSON or else as text; repeatable",
    )
    parser.add_argument(
        "--no-generation-prompt",
        action="store_true",
        help="do not open the assistant's answer",
    )
    parser.add_argument(
        "--continue-final-message",
        action="store_true",
        help="leave the assistant's last message open",
    )
    parser.add_argument(
        "--json", action="store_true", help='print {"prompt": ...}, with "tokens" of a model'
    )
    parser.add_argument(
        "conversation",
        nargs="?",
        default="-",
        metavar="FILE",
        help="messages, or the body of a chat request, as JSON; else from standard input",
    )
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    if arguments.chat_template is None and _writes_harmony(arguments):
        _render_harmony(arguments)
    else:
        _render_template(arguments)


def _render_template(arguments: argparse.Namespace) -> None:
    from smg.tokenization.chat_template import ChatTemplate, no_template
    from smg.tokenization.folder import read_template
    from smg.tokenization.messages import prepare

    tokenizer = load_tokenizer(arguments, arguments.chat_template)
    if tokenizer is not None:
        template = tokenizer.template
        if template is None:
            raise no_template()
    elif arguments.chat_template is not None:
        template = ChatTemplate(read_template(Path(arguments.chat_template)), {})
    else:
        raise Failed("which template? --model-path, --tokenizer-path or --chat-template tells")
    request, messages = _conversation(arguments)
    tools = _tools(arguments, request)
    prompt = template.render(
        prepare(messages, template.format_for(tools)),
        tools=tools,
        documents=request.get("documents"),
        add_generation_prompt=not arguments.no_generation_prompt,
        continue_final_message=arguments.continue_final_message,
        variables={
            name: request[name]
            for name in ("reasoning_effort", "tool_choice", "response_format")
            if request.get(name) is not None
        },
        kwargs=_all_kwargs(arguments, request),
    )
    if not arguments.json:
        write(prompt)
    elif tokenizer is None:
        write_json({"prompt": prompt})
    else:
        write_json({"prompt": prompt, "tokens": tokenizer.encode(prompt).tolist()})


def _writes_harmony(arguments: argparse.Namespace) -> bool:
    """Whether the model's prompts come from Harmony and no template: as its config says, or its
    name if there is none.
    """
    path = arguments.tokenizer_path or arguments.model_path
    if path is None:
        return False
    from smg.parsers.harmony.detection import writes_harmony
    from smg.tokenization.folder import Folder

    folder = Path(path)
    config = Folder.read(folder).config if folder.is_dir() else {}
    if not config:
        return writes_harmony(folder.name)
    architectures = config.get("architectures")
    return writes_harmony(
        "",
        architectures=architectures if isinstance(architectures, list) else (),
        model_type=config.get("model_type"),
    )


def _render_harmony(arguments: argparse.Namespace) -> None:
    from smg.parsers.harmony.encoding import load, prompt_ids

    if arguments.continue_final_message:
        raise Failed("--continue-final-message: a message of Harmony cannot be left open")
    request, messages = _conversation(arguments)
    kwargs = _all_kwargs(arguments, request)
    effort = kwargs.pop("reasoning_effort", request.get("reasoning_effort"))
    if kwargs:
        raise Failed(f"{', '.join(sorted(kwargs))}: Harmony has no template that could ask for it")
    ids = prompt_ids(
        messages,
        _tools(arguments, request) or (),
        effort=effort,
        date=time.strftime("%Y-%m-%d"),
        open_answer=not arguments.no_generation_prompt,
    )
    prompt = load().decode(ids)
    if arguments.json:
        write_json({"prompt": prompt, "tokens": ids})
    else:
        write(prompt)


def _conversation(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The request, and its messages."""
    request = read_json(arguments.conversation)
    if isinstance(request, list):
        request = {"messages": request}
    if not isinstance(request, dict):
        raise Failed("a conversation is a list of messages, or the body of a chat request")
    return request, objects(request.get("messages"), "messages")


def _tools(arguments: argparse.Namespace, request: dict[str, Any]) -> list[dict[str, Any]] | None:
    tools = request.get("tools") if arguments.tools is None else read_json(arguments.tools)
    return None if tools is None else objects(tools, "tools")


def _all_kwargs(arguments: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """The request's own, and those of the command line, which win."""
    kwargs = request.get("chat_template_kwargs") or {}
    if not isinstance(kwargs, dict):
        raise Failed("chat_template_kwargs must be an object")
    return {**kwargs, **_kwargs(arguments.kwarg)}


def _kwargs(pairs: Sequence[str]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise Failed(f"--kwarg {pair}: must be KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
