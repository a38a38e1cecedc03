"""Start the gateway: `smg launch`.

`python -m smg.launch_router` and `launch_router(args)` (cli 1, 2, 12).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.config.grammar import UsageError, read_tokens
from smg.core.errors import ConfigError
from smg.version import __version__, requested_version

if TYPE_CHECKING:
    from smg.config.parse import Loaded
    from smg.config.settings import RouterConfig
    from smg.router_args import RouterArgs

log = logging.getLogger(__name__)

# A shepherd's crook.
BANNER = r"""
    ____
   / __ \     Shepherd Model Gateway
   \/ / /       version  {version}
     / /      listening  {listening}
    / /            mode  {mode}
   /_/
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Read router flags and run the gateway until it is told to stop; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    loaded = _load(argv, "smg launch")
    if isinstance(loaded, int):
        return loaded
    print_banner(loaded.config)
    return _run(loaded, argv)


def check(argv: Sequence[str]) -> int:
    """`smg check`: everything `launch` checks before it opens a socket.

    Prints `ok` or every problem.
    """
    loaded = _load(argv, "smg check")
    if isinstance(loaded, int):
        return loaded
    from smg.app.parser_names import check_parsers

    config = loaded.config
    try:
        if config.priority_scheduler_enabled or config.tenant_rate_limit_enabled:
            from smg.app.limits import read_files

            read_files(config)
        check_parsers(config)
    except ConfigError as error:
        return _complain(error)
    _warn(loaded)
    print("ok")
    return 0


def print_banner(config: RouterConfig) -> None:
    """Art and address for people.

    Nothing when stdout is a file, a pipe or a stream of JSON lines.
    """
    if config.log_json or not sys.stdout.isatty():
        return
    text = BANNER.format(version=__version__, listening=config.listening, mode=config.mode_name)
    print(text, flush=True)


def parse_router_args(argv: Sequence[str]) -> RouterArgs:
    """Router flags as `RouterArgs`.

    Exits as a command does on `--help` (0) and on a usage error (2).
    """
    from smg.config.flags import options
    from smg.router_args import RouterArgs

    if (code := _answered(argv, "smg launch")) is not None:
        raise SystemExit(code)
    try:
        return RouterArgs.from_values(read_tokens(argv, options()).values)
    except UsageError as error:
        raise SystemExit(_usage(error, "smg launch")) from None


def launch_router(args: RouterArgs | argparse.Namespace) -> None:
    """Run the gateway with these arguments until shutdown."""
    from smg.router import Router
    from smg.router_args import RouterArgs

    if isinstance(args, argparse.Namespace):
        args = RouterArgs.from_cli_args(args)
    try:
        router = Router.from_args(args)
        print_banner(router.config)
        router.start()
    except Exception as error:
        log.error("Error starting router: %s", error)
        raise


def _load(argv: Sequence[str], command: str) -> Loaded | int:
    """The configuration, or the exit code when there is nothing to run."""
    from smg.config.parse import parse

    if (code := _answered(argv, command)) is not None:
        return code
    try:
        return parse(argv)
    except UsageError as error:
        return _usage(error, command)
    except ConfigError as error:
        return _complain(error)


def _answered(argv: Sequence[str], command: str) -> int | None:
    """Handle `--version` and `--help`, which win over everything else."""
    text = requested_version(argv)
    if text is None and ("-h" in argv or "--help" in argv):
        from smg.config.help import flags_help

        text = flags_help(f"{command} [flags]")
    if text is None:
        return None
    print(text)
    return 0


def _run(loaded: Loaded, argv: Sequence[str]) -> int:
    from smg.app.main import run
    from smg.config.parse import parse

    _warn(loaded)
    try:
        return run(loaded.config, reload=lambda: parse(argv))
    except ConfigError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return 130


def _warn(loaded: Loaded) -> None:
    # On stderr, as logging is not set up yet and stdout may be a stream of JSON lines.
    for text in loaded.warnings:
        print(f"warning: {text}", file=sys.stderr)


def _complain(error: ConfigError) -> int:
    print(*error.problems, sep="\n", file=sys.stderr)
    return 1


def _usage(error: UsageError, command: str) -> int:
    print(f"{command}: {error}\nTry '{command} --help'.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
