"""Ports and addresses of workers (cli 9.4).

A port is taken when it can be bound on the worker host. Ports are stable: the same command on the
same machine gives the same ports.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection

LAST_PORT = 65535


class PortError(Exception):
    """Not enough free ports, or an address that cannot be bound; the message is for people."""


def check_bindable(host: str, port: int) -> None:
    """Raise PortError unless `host:port` can be listened on now."""
    name = host.strip("[]")
    try:
        infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise PortError(f"cannot resolve {host}: {error.strerror or error}") from error
    for family, kind, proto, _, address in infos[:1]:
        with socket.socket(family, kind, proto) as sock:
            if os.name == "posix":
                # As servers do: a port whose last connections are in TIME_WAIT is free.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(address)
            except OSError as error:
                text = f"cannot listen on {host}:{port}: {error.strerror or error}"
                raise PortError(text) from error


def is_free(host: str, port: int) -> bool:
    """Whether `host:port` can be listened on now. Raises PortError for a host nobody knows."""
    try:
        check_bindable(host, port)
    except PortError as error:
        if isinstance(error.__cause__, socket.gaierror):
            raise
        return False
    return True


def allocate(count: int, base: int, host: str, reserved: Collection[int] = ()) -> list[int]:
    """The first `count` free ports from `base` on, without the reserved ones."""
    ports: list[int] = []
    for port in range(base, LAST_PORT + 1):
        if len(ports) == count:
            break
        if port not in reserved and is_free(host, port):
            ports.append(port)
    if len(ports) < count:
        raise PortError(f"could not find {count} free ports from {base} on")
    return ports


def url_host(host: str) -> str:
    """`host` for a URL: IPv6 in brackets, loopback for an unspecified address."""
    name = host.strip("[]")
    if name in ("", "0.0.0.0"):
        return "127.0.0.1"
    if name == "::":
        return "[::1]"
    return f"[{name}]" if ":" in name else name
