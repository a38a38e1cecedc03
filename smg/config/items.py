"""Item grammars: texts with an inner structure, such as `alias=canonical` or `id:name:role:key`.

Pure functions; each raises ValueError saying what is allowed. The message never repeats the text,
because several of these items are secrets. Rules: cli 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_KEY = re.compile(r"[!-~]+")

ROLES = ("admin", "user")
TENSOR_TRANSPORTS = ("inline", "shm", "auto", "rdma")


def integer(text: str) -> int:
    """A decimal integer. Stricter than `int()`: no blanks, no underscores, no foreign digits."""
    if not _INTEGER.fullmatch(text):
        raise ValueError("must be an integer")
    return int(text)


def decimal(text: str) -> float:
    """A number; the caller checks range and finiteness."""
    try:
        if "_" in text or text != text.strip():
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def port(text: str) -> int:
    """0 to 65535.

    Port 0 is refused later, with the other configuration errors, where it makes no sense.
    """
    try:
        number = integer(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise ValueError("must be a port between 0 and 65535")
    return number


def is_optional_port(text: str) -> bool:
    """Whether the token after a `--prefill` URL belongs to it: a port, or `none` in any case."""
    if text.lower() == "none":
        return True
    try:
        port(text)
    except ValueError:
        return False
    return True


def optional_port(text: str) -> int | None:
    """The bootstrap port after a URL; `none` means no port."""
    return None if text.lower() == "none" else port(text)


def header_name(text: str) -> str:
    """An HTTP header name, lower-cased."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("must be an HTTP header name")
    return text.lower()


def key_values(text: str) -> list[tuple[str, str]]:
    """`k=v` pairs separated by white space; each is split at its first `=`."""
    pairs = []
    for item in text.split():
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError("must be KEY=VALUE")
        pairs.append((key, value))
    return pairs


def model_alias(text: str) -> tuple[str, str]:
    """`alias=canonical`; both sides non-empty and different, case-sensitive."""
    alias, _, canonical = text.partition("=")
    if not alias or not canonical:
        raise ValueError("must be ALIAS=CANONICAL")
    if alias == canonical:
        raise ValueError("must name two different models")
    return alias, canonical


def role(text: str) -> str:
    """`admin` or `user`, in any case."""
    if text.lower() not in ROLES:
        raise ValueError("must have the role admin or user")
    return text.lower()


def role_mapping(text: str) -> tuple[str, str]:
    """`idp=role`: a role name of the identity provider and ours."""
    theirs, equals, ours = text.partition("=")
    if not equals or not theirs:
        raise ValueError("must be IDP_ROLE=admin or IDP_ROLE=user")
    return theirs, role(ours)


def control_plane_key(text: str) -> tuple[str, str, str, str]:
    """`id:name:role:key` as (id, name, key, role). The key may contain `:`."""
    parts = text.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise ValueError("must be ID:NAME:ROLE:KEY")
    identity, name, role_text, key = parts
    if not is_key(key):
        raise ValueError(f"must have a key of {KEY_RULE}")
    return identity, name, key, role(role_text)


def control_plane_keys(text: str) -> list[str]:
    """The entries in one environment variable: one a line, or separated by commas where each piece
    looks like an entry. A key may contain commas.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("holds no key")
    pieces = [piece.strip() for piece in lines[0].split(",")]
    if len(lines) == 1 and all(piece.count(":") >= 3 for piece in pieces):
        return pieces
    return lines


def tenant_key(text: str) -> tuple[str, str]:
    """`tenant:key` as (tenant, key). The key may contain `:`."""
    tenant, colon, key = text.partition(":")
    if not colon:
        raise ValueError("must be TENANT:KEY")
    if not tenant or not key:
        raise ValueError("tenant and key must not be empty")
    if tenant != tenant.strip() or key != key.strip():
        raise ValueError("tenant and key must not begin or end with a blank")
    if not is_key(key):
        raise ValueError(f"the key must be {KEY_RULE}")
    return tenant, key


KEY_RULE = "visible ASCII characters without blanks"


def is_key(text: str) -> bool:
    """Whether `text` can be sent as a key: another one would lock everybody out."""
    return _KEY.fullmatch(text) is not None


def integers(text: str) -> list[int]:
    """Comma-separated integers; empty items are ignored."""
    return [integer(item.strip()) for item in text.split(",") if item.strip()]


def model_id_source(text: str) -> str:
    """`namespace`, `label:<key>` or `annotation:<key>`."""
    if text.lower() == "namespace":
        return "namespace"
    kind, _, key = text.partition(":")
    if kind not in ("label", "annotation") or not key:
        raise ValueError("must be namespace, label:KEY or annotation:KEY")
    return text


def tensor_transport(text: str) -> str:
    """`inline`, `shm`, `auto` or `rdma`; blanks around it and case do not matter."""
    name = text.strip().lower()
    if name not in TENSOR_TRANSPORTS:
        raise ValueError(f"must be one of {', '.join(TENSOR_TRANSPORTS)}")
    return name


def is_header_name(text: str) -> bool:
    """Whether `text` may stand as a header name."""
    return _TOKEN.fullmatch(text) is not None


def joined(names: Iterable[str]) -> str:
    """Names as they stand in a message."""
    return ", ".join(names)
