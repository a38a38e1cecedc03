"""How a chat template lets thinking be switched, and whether it begins the thoughts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from smg.tokenization.errors import TemplateFailed

if TYPE_CHECKING:
    from smg.tokenization.chat_template import ChatTemplate

# The blanks after the word keep `thinking_budget` and the like out.
_THINKING = ("if thinking ", "thinking is ", "thinking ==", "set thinking ")
_PROBE = ({"role": "user", "content": "Hello"},)


class Toggle(NamedTuple):
    """The template's variable for thinking, and what it is when nobody sets it."""

    key: str
    default: bool


def toggle(template: str) -> Toggle | None:
    """The switch of a template text, if it has one."""
    if "enable_thinking" in template:
        key = "enable_thinking"
    elif any(sign in template for sign in _THINKING):
        key = "thinking"
    else:
        return None
    off = any(
        f"set {name}{equals}false" in template
        for name in ("enable_thinking", "thinking")
        for equals in (" = ", "=")
    )
    return Toggle(key, not off)


def thinks_in_prefill(template: ChatTemplate, switch: Toggle | None) -> bool:
    """Whether the prompt ends inside the thoughts, so that the answer begins with them.

    Found out by rendering a short conversation with thinking on.
    """
    try:
        prompt = template.render(_PROBE, kwargs={switch.key: True} if switch else None)
    except TemplateFailed:  # it needs more than a user's message
        return False
    return prompt.rfind("<think>") > prompt.rfind("</think>")
