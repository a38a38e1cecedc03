"""The `smg` command: finds the sub-command and hands it the arguments (cli 1).

Light on purpose: `smg --version` must not pay for an event loop or a parser, so every command is
imported when it is chosen.
"""

from __future__ import annotations

import sys

from smg.version import requested_version

TYPE_CHECKING = False  # typing itself costs a third of the start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USAGE = """\
usage: smg COMMAND [flags]
       smg [flags]                 the same as smg launch [flags]

Shepherd Model Gateway: one front door for LLM traffic.

Commands:
  launch    start the gateway (also: start)
  serve     start engine workers, wait for them, then run the gateway
  check     check flags and settings file as launch would, then exit
  workers   see and change the workers of a running gateway
  top       watch a running gateway
  tokenize  show the tokens of a text
  render    show the prompt that a chat template makes
  parse     show what parsers make of an answer

  -h, --help           show this help and exit
  -V, --version        show the version and exit
  --version-verbose    show version, build and tools, and exit

smg COMMAND --help lists the flags of a command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns the exit code: 0 fine, 1 configuration or start-up failure, 2 usage; `workers` and
    `top` add 3, gateway unreachable.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        print(USAGE)
        return 1
    command, rest = words[0], words[1:]
    if command in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if command == "serve":
        # Engines have a --version too: ours counts only as the first word.
        rest_version = requested_version(rest[:1])
        return _serve(rest) if rest_version is None else _say(rest_version)
    if command.startswith("-"):
        rest = words
    elif command not in COMMANDS:
        print(USAGE)
        return 1
    version = requested_version(rest)
    if version is not None:
        return _say(version)
    return COMMANDS.get(command, _launch)(rest)


def _say(text: str) -> int:
    print(text)
    return 0


def _launch(argv: list[str]) -> int:
    from smg.launch_router import main as launch

    return launch(argv)


def _serve(argv: list[str]) -> int:
    from smg.serve import main as serve

    return serve(argv)


def _check(argv: list[str]) -> int:
    from smg.launch_router import check

    return check(argv)


def _workers(argv: list[str]) -> int:
    from smg.console.workers_command import main as workers

    return workers(argv)


def _top(argv: list[str]) -> int:
    from smg.console.top_command import main as top

    return top(argv)


def _tokenize(argv: list[str]) -> int:
    from smg.offline.tokenize_command import main as tokenize

    return tokenize(argv)


def _render(argv: list[str]) -> int:
    from smg.offline.render_command import main as render

    return render(argv)


def _parse(argv: list[str]) -> int:
    from smg.offline.parse_command import main as parse

    return parse(argv)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "launch": _launch,
    "start": _launch,
    "check": _check,
    "workers": _workers,
    "top": _top,
    "tokenize": _tokenize,
    "render": _render,
    "parse": _parse,
}


if __name__ == "__main__":
    sys.exit(main())
