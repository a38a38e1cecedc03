"""What may go wrong in a console command, and the exit code each failure ends with.

0 fine, 1 the gateway refused or a job failed, 2 usage, 3 the gateway cannot be reached.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from smg.console.text import plain

INTERRUPTED = 130  # what shells use for a command ended by Ctrl-C


class ConsoleError(Exception):
    """A failure with a message for the operator. `code` is the gateway's own word for it."""

    exit_code = 1

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Refused(ConsoleError):
    """The gateway answered, and said no. `status` is the HTTP status."""

    def __init__(self, message: str, status: int, code: str | None = None) -> None:
        super().__init__(message, code)
        self.status = status


class JobFailed(ConsoleError):
    """The gateway took the order and could not carry it out, or not in the time we waited."""


class Misuse(ConsoleError):
    """The command line asks for what makes no sense."""

    exit_code = 2


class Unreachable(ConsoleError):
    """No answer: refused, timed out, cut, or not HTTP."""

    exit_code = 3


def run_guarded(command: Callable[[], int], *, as_json: bool = False) -> int:
    """Run a command; a failure becomes one line on stderr and its exit code."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except ConsoleError as error:
        report(error, as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads us has seen enough (`| head`). Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def report(error: ConsoleError, *, as_json: bool = False) -> None:
    """Print a failure on stderr: a line of text, or an object with `error` and `code`."""
    if as_json:
        text = json.dumps({"error": str(error), "code": error.code})
    else:
        text = plain(f"smg: {error}")
    print(text, file=sys.stderr)
