"""`GET /console`: a static page, without build step and without anything from elsewhere.

The page holds no data and is open to everybody; what it shows comes from `/console/data`, which is
for the control plane. So a browser can load it, and it can ask for the key.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from smg.server import Exchange

HTML = b"text/html; charset=utf-8"


def page() -> Callable[[Exchange], None]:
    """The handler; reads the page once."""
    text = resources.files(__package__).joinpath("console.html").read_text(encoding="utf-8")
    headers = (
        (b"content-security-policy", content_security_policy(text)),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    )
    body = text.encode()

    def start(exchange: Exchange) -> None:
        exchange.respond(200, body, HTML, headers)

    return start


def content_security_policy(text: str) -> bytes:
    """Only this very script and this very style run, and they talk to this gateway alone. No HTML
    can be made from text, so nothing that a worker or a client named can become markup.
    """
    script, style = (_hashes(text, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ).encode()


def _hashes(text: str, tag: str) -> str:
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
    digests = (hashlib.sha256(block.encode()).digest() for block in blocks)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
