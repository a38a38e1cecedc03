"""The command line of `smg workers`, and the API bodies that its options become."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from smg.console.errors import Misuse
from smg.console.options import add_connection_options, not_negative, positive, secret, whole

WAIT = 300.0  # seconds that `--wait` means
# The gateway lets requests end for 600 s at most; then a removal is late.
DRAIN_WAIT = 660.0
WORKER_TYPES = ("regular", "prefill", "decode", "encode")
DEFAULT_INTERVAL = 2.0  # seconds
TARGET = "id, the start or end of it, or URL of the worker"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; leaves with SystemExit as argparse does."""
    parser = _parser()
    arguments = parser.parse_args(_with_wait_value(argv))
    if arguments.command is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smg workers",
        description="See and change the workers of a running gateway.",
        epilog="Exit codes: 0 fine, 1 the gateway refused or the job failed, 2 usage,"
        " 3 gateway unreachable.",
        allow_abbrev=False,
    )
    add_connection_options(parser)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")

    def command(name: str, help: str, description: str = "") -> argparse.ArgumentParser:
        text = description or help[0].upper() + help[1:] + "."
        added = commands.add_parser(name, help=help, description=text, allow_abbrev=False)
        add_connection_options(added, again=True)
        return added

    listing = command("list", "list all workers")
    listing.add_argument("--model", help="only workers that serve this model")
    command("get", "show one worker, and its job if one runs or failed").add_argument(
        "target", metavar="ID|URL", help=TARGET
    )
    _add_command(command("add", "register a worker"))
    change = command("set", "change a worker; what is not named stays as it is")
    change.add_argument("target", metavar="ID|URL", help=TARGET)
    _settings(change)
    _wait(change, "the change is made")
    removal = command(
        "remove",
        "drain and remove a worker",
        "Drain and remove a worker: it gets no new requests, those in flight may end.",
    )
    removal.add_argument("target", metavar="ID|URL", help=TARGET)
    _wait(removal, "the worker is gone", DRAIN_WAIT)
    drain = command(
        "drain",
        "remove a worker and wait until it is gone",
        "Remove a worker, show how many requests it still has, and end when it is gone.",
    )
    drain.add_argument("target", metavar="ID|URL", help=TARGET)
    drain.add_argument(
        "--wait",
        metavar="SECS",
        type=positive,
        default=DRAIN_WAIT,
        help=f"how long at most (default: {DRAIN_WAIT:g})",
    )
    watch = command("watch", "follow the list; on a terminal a table, else a line per change")
    watch.add_argument("--model", help="only workers that serve this model")
    watch.add_argument(
        "--interval",
        metavar="SECS",
        type=positive,
        default=DEFAULT_INTERVAL,
        help=f"time between two looks (default: {DEFAULT_INTERVAL:g})",
    )
    return parser


def _add_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("worker_url", metavar="URL", help="address of the worker")
    parser.add_argument(
        "--model-id",
        metavar="M",
        action="append",
        help="model it serves, may be repeated (default: the gateway asks the worker)",
    )
    parser.add_argument("--worker-type", choices=WORKER_TYPES, help="its role (default: regular)")
    _settings(parser)
    _wait(parser, "the worker is ready")


def _settings(parser: argparse.ArgumentParser) -> None:
    """What both `add` and `set` may say."""
    parser.add_argument(
        "--api-key-env",
        metavar="VAR",
        help="environment variable that holds the worker's own API key",
    )
    parser.add_argument(
        "--priority", metavar="N", type=whole, help="only the highest among ready workers is used"
    )
    parser.add_argument("--cost", metavar="X", type=positive, help="loads are multiplied with it")
    parser.add_argument(
        "--label",
        metavar="K=V",
        action="append",
        type=_label,
        help="a label; may be repeated",
    )
    health = parser.add_argument_group("health checks")
    health.add_argument("--health-interval", metavar="SECS", type=positive, help="time between two")
    health.add_argument("--health-timeout", metavar="SECS", type=positive, help="limit of each")
    health.add_argument(
        "--health-success-threshold", metavar="N", type=whole, help="good ones until ready"
    )
    health.add_argument(
        "--health-failure-threshold", metavar="N", type=whole, help="bad ones until not ready"
    )
    health.add_argument(
        "--health-check",
        action=argparse.BooleanOptionalAction,
        help="switch them on or off; without them a worker counts as ready",
    )
    health.add_argument(
        "--drain-settle",
        metavar="SECS",
        type=not_negative,
        help="shortest time between the order to remove it and its end",
    )


def _wait(parser: argparse.ArgumentParser, until: str, seconds: float = WAIT) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECS",
        type=positive,
        nargs="?",
        const=seconds,
        help=f"show the progress and end when {until}, SECS at most ({seconds:g})",
    )


def _with_wait_value(argv: Sequence[str]) -> list[str]:
    """`--wait URL` would read the URL as seconds: a `--wait` before a word that is no number goes
    to the end.
    """
    words, moved = [], []
    for place, word in enumerate(argv):
        following = argv[place + 1] if place + 1 < len(argv) else ""
        if word == "--wait" and following and not _is_number(following):
            moved.append(word)
        else:
            words.append(word)
    return words + moved


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, not {text!r}")
    return name, value


# API bodies


def spec_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /workers`. Raises `Misuse`."""
    body: dict[str, Any] = {"url": arguments.worker_url}
    models = arguments.model_id or []
    if len(models) == 1:
        body["model_id"] = models[0]
    elif models:
        body["models"] = [{"id": name} for name in models]
    if arguments.worker_type:
        body["worker_type"] = arguments.worker_type
    return {**body, **_settings_of(arguments, environment)}


def patch_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """The body of `PATCH /workers/{id}`. Raises `Misuse`, also when there is nothing in it."""
    body = _settings_of(arguments, environment)
    if not body:
        raise Misuse("nothing to set: see smg workers set --help")
    return body


def _settings_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    check = arguments.health_check
    health = {
        "check_interval_secs": arguments.health_interval,
        "timeout_secs": arguments.health_timeout,
        "success_threshold": arguments.health_success_threshold,
        "failure_threshold": arguments.health_failure_threshold,
        "disable_health_check": None if check is None else not check,
        "drain_settle_secs": arguments.drain_settle,
    }
    body = {
        "priority": arguments.priority,
        "cost": arguments.cost,
        "labels": dict(arguments.label or ()) or None,
        "api_key": _worker_key(arguments.api_key_env, environment),
        "health": {name: value for name, value in health.items() if value is not None} or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _worker_key(variable: str | None, environment: Mapping[str, str]) -> str | None:
    if variable is None:
        return None
    key = secret(environment.get(variable), f"the key in {variable}")
    if key is None:
        raise Misuse(f"--api-key-env: {variable} is not set, or empty")
    return key
