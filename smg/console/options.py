"""Options that all console commands share, and the client they lead to."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping

from smg.console.client import GatewayClient
from smg.console.errors import Misuse

DEFAULT_URL = "http://127.0.0.1:30000"
URL_VARIABLE = "SMG_URL"
KEY_VARIABLE = "SMG_ADMIN_KEY"
DEFAULT_TIMEOUT = 10.0  # seconds


def positive(text: str) -> float:
    """A number of seconds, or anything else, above 0 (for argparse)."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def not_negative(text: str) -> float:
    """A number from 0 on (for argparse)."""
    return 0.0 if text.strip() == "0" else positive(text)


def whole(text: str) -> int:
    """A whole number from 0 on (for argparse)."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 on, not {text!r}")
    return int(text)


def add_connection_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """`--url`, `--key`, `--json`, `--timeout`.

    `again`: the options stand on the command already and may be repeated on its sub-command, whose
    defaults must not undo what was said before.
    """
    nothing = argparse.SUPPRESS if again else None
    group = parser.add_argument_group("connection and output")
    group.add_argument(
        "--url",
        metavar="URL",
        default=nothing,
        help=f"the gateway (default: ${URL_VARIABLE}, else {DEFAULT_URL})",
    )
    group.add_argument(
        "--key",
        metavar="KEY",
        default=nothing,
        help=f"admin key; other users may see a command line, so prefer ${KEY_VARIABLE}",
    )
    group.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if again else False,
        help="print JSON for programs",
    )
    group.add_argument(
        "--timeout",
        metavar="SECS",
        type=positive,
        default=argparse.SUPPRESS if again else DEFAULT_TIMEOUT,
        help=f"how long to wait for each answer (default: {DEFAULT_TIMEOUT:g})",
    )


def connect(
    arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ
) -> GatewayClient:
    """The client for parsed options. Raises `Misuse`."""
    url = arguments.url or environment.get(URL_VARIABLE) or DEFAULT_URL
    key = arguments.key if arguments.key is not None else environment.get(KEY_VARIABLE)
    return GatewayClient(url, secret(key, "the admin key"), arguments.timeout)


def secret(value: str | None, what: str) -> str | None:
    """A key as it may be sent; None when empty. Raises `Misuse`, which names `what` only."""
    key = (value or "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Misuse(f"{what} has characters that a key cannot have")
    return key or None
