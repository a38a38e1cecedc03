"""Checks of addresses: hosts to listen on, URLs of workers, origins of browsers.

Each returns what is wrong as a text, or None. Worker URLs from the command line, files and the
worker API obey the same rule (cli 6).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from smg.config.settings import unbracketed

WORKER_SCHEMES = ("http", "https", "grpc", "grpcs", "ipc")
LATER_SCHEMES = {"grpc": "gRPC mode", "grpcs": "gRPC mode", "ipc": "ZMQ workers"}

_VISIBLE = re.compile(r"[!-~]+")
_ORIGIN_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def host_problem(host: str) -> str | None:
    """IPv4, IPv6 with or without brackets, or a name that resolves."""
    if not host:
        return "must not be empty"
    bare = unbracketed(host)
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        address = None
    if address is not None:
        return None if bare == host or address.version == 6 else "only IPv6 goes in brackets"
    if bare != host or not _NAME.fullmatch(host):
        return f"{host!r} is no address and no host name"
    import socket

    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return f"{host!r} does not resolve to an address"
    return None


def worker_url_problem(url: str) -> str | None:
    """Whether `url` may be the base URL of a worker, in any mode.

    Schemes still to be built are right here.
    """
    if not url:
        return "a worker URL must not be empty"
    if not _VISIBLE.fullmatch(url):
        return f"{url!r}: must be plain ASCII without blanks"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in WORKER_SCHEMES:
        if separator and scheme.lower() in WORKER_SCHEMES:
            return f"{_shown(url)}: write the scheme in lower case, as {scheme.lower()}://"
        return f"{_shown(url)}: must start with a scheme, as http://{_shown(rest or url)}"
    if scheme == "ipc":
        return None if rest else f"{url}: needs a path after ipc://"
    if "@" in rest:
        # Not repeated: what stands before the @ is a password.
        return f"{scheme}://...: must not carry a user name or password"
    if "?" in rest or "#" in rest:
        return f"{re.split('[?#]', url)[0]}: must not have a query or fragment"
    return _authority_problem(url)


def collector_problem(endpoint: str) -> str | None:
    """`HOST:PORT` of an OTLP collector, perhaps after `http://` or `https://`."""
    scheme, separator, rest = endpoint.rpartition("://")
    if separator and scheme not in ("http", "https"):
        return f"{_shown(endpoint)}: only http:// or https:// may stand before HOST:PORT"
    if "@" in rest:
        return f"{_shown(endpoint)}: must not carry a user name or password"
    host, colon, port = rest.rpartition(":")
    if not colon:
        return f"{endpoint!r} must be HOST:PORT"
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        return f"{endpoint!r}: port must be 1-65535"
    if not host or "/" in host:
        return f"{endpoint!r} must be HOST:PORT" if host else f"{endpoint!r} needs a host"
    return _authority_problem(f"http://{rest}")


def origin_problem(origin: str) -> str | None:
    """`scheme://host` or `scheme://host:port`, as browsers send it: no path, no trailing slash."""
    scheme, separator, rest = origin.partition("://")
    if not separator or not _ORIGIN_SCHEME.fullmatch(scheme) or not _VISIBLE.fullmatch(origin):
        return f"{origin!r} is not an origin such as https://chat.example.com"
    if any(mark in rest for mark in "/?#@"):
        return f"{origin!r}: an origin ends after host and port"
    return _authority_problem(origin)


def _authority_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{url}: host or port cannot be read"
    if not host or parts.netloc.endswith(":"):
        return f"{url}: needs a host" if not host else f"{url}: port is missing after the colon"
    if port == 0:
        return f"{url}: port must be 1-65535"
    if parts.netloc.startswith("["):
        return _literal_problem(url, parts.netloc)
    return None if _NAME.fullmatch(host) else f"{url}: host cannot be read"


def _literal_problem(url: str, authority: str) -> str | None:
    # urlsplit checks neither what is in the brackets (before Python 3.11.4) nor what follows them.
    literal, _, rest = authority[1:].partition("]")
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return f"{url}: no IPv6 address in the brackets"
    return f"{url}: host cannot be read" if rest and not rest.startswith(":") else None


def _shown(url: str) -> str:
    """A URL for a message, without what may be a password."""
    return "..." + url.rpartition("@")[2] if "@" in url else url
