"""How each engine is started and asked whether it is ready: one class per engine (cli 9.3).

A launcher builds command lines and knows no processes; `smg.serve.processes` runs them.
"""

from __future__ import annotations

import abc
import http.client
import os
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from smg.serve.ports import url_host
from smg.serve.processes import WorkerProcess

if TYPE_CHECKING:
    from smg.serve.args import ServeArgs


class Launcher(abc.ABC):
    """One engine. `connection_modes`: what it speaks, the default first."""

    name: ClassVar[str]
    connection_modes: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def build_command(
        self, args: ServeArgs, backend_args: Sequence[str], host: str, port: int
    ) -> list[str]:
        """The worker's command line."""

    @abc.abstractmethod
    def served_model(self, args: ServeArgs, backend_args: Sequence[str]) -> str:
        """Model name for the example that is printed when all is ready."""

    def worker_url(self, args: ServeArgs, host: str, port: int) -> str:
        """Where the gateway finds the worker."""
        scheme = "grpc" if args.connection_mode == "grpc" else "http"
        return f"{scheme}://{url_host(host)}:{port}"

    def health_check(self, args: ServeArgs, host: str, port: int, timeout: float) -> bool:
        """One probe, in seconds at most: is the worker ready? Blocks; raises nothing."""
        return http_healthy(f"http://{url_host(host)}:{port}", "/health", timeout)

    def gpu_env(
        self, args: ServeArgs, dp_rank: int, env: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Environment of worker `dp_rank`; `env` (default: ours) is not changed."""
        return {**(os.environ if env is None else env), "PYTHONUNBUFFERED": "1"}

    def launch(
        self, args: ServeArgs, backend_args: Sequence[str], host: str, port: int, dp_rank: int
    ) -> WorkerProcess:
        """Start one worker."""
        return WorkerProcess(
            self.build_command(args, backend_args, host, port),
            name=f"{self.name}:{dp_rank}",
            env=self.gpu_env(args, dp_rank),
            raw_output=args.raw_worker_output,
        )


class SimLauncher(Launcher):
    """The simulated engine of this package."""

    name = "sim"
    connection_modes = ("http",)

    def build_command(
        self, args: ServeArgs, backend_args: Sequence[str], host: str, port: int
    ) -> list[str]:
        rest = without_flags(backend_args, ("--host", "--port"))
        return [
            sys.executable, "-m", "smg.sim", "--host", host.strip("[]"), "--port", str(port), *rest,
        ]  # fmt: skip

    def served_model(self, args: ServeArgs, backend_args: Sequence[str]) -> str:
        return flag_value(backend_args, "--model") or "sim"


BACKEND_LAUNCHERS: dict[str, Launcher] = {"sim": SimLauncher()}


def without_flags(tokens: Sequence[str], names: Sequence[str]) -> list[str]:
    """Tokens without the flags a launcher sets itself, in either form.

    A removed flag takes the next token with it only when that does not start with `-`.
    """
    kept: list[str] = []
    skip_value = False
    for token in tokens:
        if skip_value and not token.startswith("-"):
            skip_value = False
            continue
        skip_value = token in names
        if not skip_value and token.partition("=")[0] not in names:
            kept.append(token)
    return kept


def flag_value(tokens: Sequence[str], *names: str) -> str | None:
    """The value of the first of the flags, as `--x v` or `--x=v`."""
    for place, token in enumerate(tokens):
        name, equals, value = token.partition("=")
        if name in names:
            if equals:
                return value
            return tokens[place + 1] if place + 1 < len(tokens) else None
    return None


def http_healthy(base_url: str, path: str, timeout: float) -> bool:
    """GET answered with 200 within `timeout` seconds."""
    parts = urllib.parse.urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
