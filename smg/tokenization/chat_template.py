"""Renders conversations to prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smg.tokenization.content_format import ContentFormat, content_format
from smg.tokenization.errors import LoadFailed, TemplateFailed
from smg.tokenization.folder import TemplateSource
from smg.tokenization.template_language import absent, environment
from smg.tokenization.thinking import Toggle, thinks_in_prefill, toggle

_NOT_SET = (
    "Cannot use chat template functions because tokenizer.chat_template is not set and no "
    "template argument was passed"
)

Message = Mapping[str, Any]


def no_template() -> TemplateFailed:
    """The error of a tokenizer without a template."""
    return TemplateFailed(f"Failed to apply chat template: {_NOT_SET}")


class ChatTemplate:
    """The template, or the templates by name, of one tokenizer.

    `tokens`: the named special tokens (`bos_token` and so on); templates see them as variables.
    Errors: LoadFailed for wrong syntax, so that it is the load that fails and not a request.
    `formats`, `toggle` and `prefill_thinks` are facts about the text, found out once.
    """

    def __init__(self, source: TemplateSource, tokens: Mapping[str, str | list[str]]) -> None:
        named = {"default": source} if isinstance(source, str) else dict(source)
        self.sources = named
        self._tokens = dict(tokens)
        self._compiled = {name: self._compile(name, text) for name, text in named.items()}
        self._formats = {name: content_format(text) for name, text in named.items()}
        self._without_tools = "default" if "default" in named else next(iter(named))
        self._with_tools = "tool_use" if "tool_use" in named else self._without_tools
        self.toggle: Toggle | None = toggle(named[self._without_tools])
        self.prefill_thinks = thinks_in_prefill(self, self.toggle)

    @staticmethod
    def _compile(name: str, text: str) -> Any:
        import jinja2

        try:
            return environment().from_string(text)
        except jinja2.TemplateSyntaxError as error:
            where = "chat template" if name == "default" else f"chat template '{name}'"
            raise LoadFailed(f"{where}, line {error.lineno}: {error.message}") from error
        except Exception as error:  # too deep, or a constant that cannot be computed
            raise LoadFailed(f"chat template: {error}") from error

    def name_for(self, tools: Sequence[Any] | None) -> str:
        """Which of the templates a request gets."""
        return self._with_tools if tools else self._without_tools

    def format_for(self, tools: Sequence[Any] | None) -> ContentFormat:
        """How that template wants message contents."""
        return self._formats[self.name_for(tools)]

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        variables: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt of a conversation whose messages were prepared (`messages.prepare`).

        `variables`: what the gateway adds (`reasoning_effort`, `tool_choice`); `kwargs`: the
        client's `chat_template_kwargs`, which override everything. `continue_final_message`: an
        assistant's last message is not closed, the model goes on with it.
        Errors: TemplateFailed.
        """
        tail = ""
        if continue_final_message and messages:
            last = messages[-1]
            content = last.get("content")
            if last.get("role") == "assistant" and isinstance(content, str):
                messages, tail, add_generation_prompt = messages[:-1], content, True
        context: dict[str, Any] = {
            **self._tokens,
            "messages": list(messages),
            "tools": list(tools) if tools else absent("tools"),
            "documents": list(documents) if documents is not None else absent("documents"),
            "add_generation_prompt": add_generation_prompt,
        }
        if variables:
            context.update(variables)
        if kwargs:
            context.update(kwargs)
        try:
            text: str = self._compiled[self.name_for(tools)].render(context)
        except Exception as error:  # whatever a template does; it is the operator's, not ours
            raise TemplateFailed(f"Failed to apply chat template: {error}", cause=error) from error
        return text + tail
