"""Worker addresses: one canonical form per worker, so that two spellings are one worker.

Canonical: no trailing `/`, no trailing `/v1` (every path we ask brings its own), host in lower
case, IPv6 compressed, default port left out. Rules: routing-reliability 12.1, http-api 25 (trap
31). Knows no sockets.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

MODES = {"http": "http", "https": "http", "grpc": "grpc", "grpcs": "grpc", "ipc": "zmq"}
_DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
_TLS = frozenset({"https", "grpcs"})

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """A parsed worker URL. `host` has no brackets; `base_path` is empty or starts with `/`."""

    url: str
    scheme: str
    host: str
    port: int
    base_path: str

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in _TLS

    @property
    def connection_mode(self) -> str:
        """The transport the scheme asks for: http, grpc or zmq."""
        return MODES[self.scheme]


def parse_worker_url(text: str) -> WorkerAddress:
    """The canonical address of `text`; ValueError says what is wrong with it."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in MODES:
        allowed = ", ".join(f"{name}://" for name in MODES)
        raise ValueError(f"worker URL {text!r} must start with one of {allowed}")
    if _UNPRINTABLE.search(text):
        raise ValueError(f"worker URL {text!r} must be printable ASCII without spaces")
    if scheme == "ipc":
        if not rest:
            raise ValueError(f"worker URL {text!r} has no path")
        return WorkerAddress(text, scheme, "", 0, rest)
    if "?" in rest or "#" in rest:
        raise ValueError(f"worker URL {text!r} must not have a query or a fragment")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("worker URL must not carry user data or '@'")  # not quoted: a password
    host, port = _host_and_port(text, authority, _DEFAULT_PORTS[scheme])
    base_path = _base_path(slash + path)
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    url = f"{scheme}://{shown_host}{shown_port}{base_path}"
    return WorkerAddress(url, scheme, host, port, base_path)


def normalise(text: str) -> str:
    """The canonical spelling of a worker URL, `@rank` of a data-parallel one kept; ValueError as in
    `parse_worker_url`.
    """
    base, rank = split_rank(text)
    return parse_worker_url(base).url + rank


def split_rank(text: str) -> tuple[str, str]:
    """A worker URL without and with the `@rank` at its end; the second part may be empty."""
    base, at, rank = text.rpartition("@")
    if at and rank.isascii() and rank.isdecimal():
        return base, at + rank
    return text, ""


def _host_and_port(text: str, authority: str, default_port: int) -> tuple[str, int]:
    if authority.startswith("["):
        literal, closed, after = authority[1:].partition("]")
        if not closed or (after and not after.startswith(":")):
            raise ValueError(f"worker URL {text!r} has a broken IPv6 address")
        try:
            host = ipaddress.IPv6Address(literal).compressed
        except ValueError:
            raise ValueError(f"worker URL {text!r} has a broken IPv6 address") from None
        return host, _port(text, after, default_port)
    name, colon, digits = authority.partition(":")
    if not name:
        raise ValueError(f"worker URL {text!r} has no host")
    host = name.lower()
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"worker URL {text!r} has an invalid host")
    return host, _port(text, colon + digits, default_port)


def _port(text: str, suffix: str, default_port: int) -> int:
    if not suffix:
        return default_port
    digits = suffix[1:]
    if not digits.isdecimal() or len(digits) > 5 or not 0 < int(digits) < 65536:
        raise ValueError(f"worker URL {text!r} has an invalid port")
    return int(digits)


def _base_path(path: str) -> str:
    path = path.rstrip("/")
    while path == "/v1" or path.endswith("/v1"):
        path = path[:-3].rstrip("/")
    return path
