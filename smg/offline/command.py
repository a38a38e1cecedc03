"""What the three commands share: their options, reading input, printing, and how they fail.

Exit codes: 0 fine, 1 it cannot be done, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smg.core.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from smg.tokenization.tokenizer import Tokenizer

INTERRUPTED = 130  # what shells use for a command ended by Ctrl-C


class Failed(Exception):
    """A failure with a message for whoever typed the command."""


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    argv: Sequence[str],
) -> int:
    """Read the arguments and do the work; a failure becomes one line on stderr. The exit code."""
    # Late: it brings the classes only, not the libraries.
    from smg.tokenization.errors import LoadFailed

    try:
        work(parser.parse_args(argv))
        sys.stdout.flush()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except (Failed, LoadFailed, GatewayError) as error:
        print(f"smg: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(*(f"smg: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads us has seen enough (`| head`). Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model-path` and `--tokenizer-path`, as `smg launch` has them."""
    parser.add_argument(
        "--model-path",
        "--model",
        metavar="MODEL",
        help="directory, tokenizer file or hub id of the model",
    )
    parser.add_argument(
        "--tokenizer-path", metavar="MODEL", help="the same; wins over --model-path"
    )


def load_tokenizer(arguments: argparse.Namespace, template: str | None = None) -> Tokenizer | None:
    """The tokenizer that the options name, if they do; errors: LoadFailed."""
    from smg.tokenization.loader import Source, load

    path = arguments.tokenizer_path or arguments.model_path
    return load(Source(path, template)) if path else None


def read_text(path: str) -> str:
    """A file, or standard input for `-`, as it is: no line ending is touched."""
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode()
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failed(f"{path}: is not UTF-8 text") from error


def read_json(path: str) -> Any:
    """The JSON of a file, or of standard input for `-`."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise Failed(f"{path}: is not JSON: {error}") from error


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """`value`, if it is a list of objects."""
    if not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise Failed(f"{what} must be a list of objects")
    return value


def write(text: str) -> None:
    """Text as it is; a line ending is added for people only, not in files and pipes."""
    out = sys.stdout
    data = text.encode("utf-8", "replace")
    if out.isatty() and not text.endswith("\n"):
        data += b"\n"
    out.flush()
    out.buffer.write(data)


def write_json(value: Any) -> None:
    """One JSON value on a line of its own."""
    write(json.dumps(value, ensure_ascii=False) + "\n")
