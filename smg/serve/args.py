"""Arguments of `smg serve`: its own flags, `--router-*` flags, and everything else for the engine.

No engine is imported to read them (cli 9.2): unknown tokens pass through unchanged, and an engine
that dislikes them dies before it is ready and says so itself.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smg.config.flags import options
from smg.config.flags.row import Flag
from smg.config.grammar import UsageError, read_tokens
from smg.config.kinds import Choice, Int, Kind, Many, Port, Seconds, Switch
from smg.serve.launchers import BACKEND_LAUNCHERS

GROUP = "Serve"
HELP_WIDTH = 100
BACKENDS = ("sglang", "vllm", "trtllm", "tokenspeed", "sim")
DEFAULT_BACKEND = "sglang"
DEFAULT_BACKEND_VARIABLE = "SMG_DEFAULT_BACKEND"
# Router flags that serve sets itself; `--worker-urls` is read without prefix and ignored.
NOT_FOR_ROUTER = ("host", "port", "worker-urls")

FLAGS: tuple[Flag, ...] = (
    Flag(
        name="backend",
        kind=Choice(*BACKENDS),
        group=GROUP,
        help="Engine to start; sim is the simulated one: no model, no GPU. "
        f"Default: ${DEFAULT_BACKEND_VARIABLE}, else {DEFAULT_BACKEND}.",
    ),
    Flag(
        name="connection-mode",
        kind=Choice("grpc", "http", "zmq"),
        group=GROUP,
        help="How the gateway speaks to the workers. Default: what the engine speaks best.",
    ),
    Flag(name="host", kind=Kind("HOST"), group=GROUP, default="127.0.0.1", help="Gateway host."),
    Flag(name="port", kind=Port(), group=GROUP, default=8080, help="Gateway port."),
    Flag(
        name="data-parallel-size",
        aliases=("dp-size",),
        kind=Int(1, 4096),
        group=GROUP,
        default=1,
        help="Number of workers. One worker alone gets no policy, retries or circuit breaker.",
    ),
    Flag(
        name="worker-host",
        kind=Kind("HOST"),
        group=GROUP,
        default="127.0.0.1",
        help="Where workers listen.",
    ),
    Flag(
        name="worker-base-port",
        kind=Port(),
        group=GROUP,
        default=31000,
        help="First port tried for workers; busy ones are skipped.",
    ),
    Flag(
        name="worker-startup-timeout",
        kind=Seconds(1),
        group=GROUP,
        default=300,
        help="How long all workers together may take until they are ready.",
    ),
    Flag(
        name="enable-token-usage-details",
        kind=Switch(),
        group=GROUP,
        default=False,
        help="Ask the engine to report cached tokens (HTTP; sim always does).",
    ),
    Flag(
        name="raw-worker-output",
        kind=Switch(),
        group=GROUP,
        default=False,
        help="Workers write to this terminal directly, without the [sim:0] prefix.",
    ),
    Flag(
        name="router-disable-arg-fallback",
        kind=Switch(),
        group=GROUP,
        default=False,
        help="Do not use the engine's --api-key as the gateway's.",
    ),
)
IGNORED = Flag(name="worker-urls", kind=Many(), group=GROUP, help="Ignored: serve makes the URLs.")


@dataclass
class ServeArgs:
    """What the command line said. `router`: values of `--router-*` flags by field name."""

    backend: str = DEFAULT_BACKEND
    connection_mode: str = "http"
    host: str = "127.0.0.1"
    port: int = 8080
    data_parallel_size: int = 1
    worker_host: str = "127.0.0.1"
    worker_base_port: int = 31000
    worker_startup_timeout: float = 300
    enable_token_usage_details: bool = False
    raw_worker_output: bool = False
    router_disable_arg_fallback: bool = False
    router: dict[str, Any] = field(default_factory=dict)


def parse_serve_args(
    argv: Sequence[str], environ: Mapping[str, str] | None = None
) -> tuple[str, ServeArgs, list[str]]:
    """(backend, arguments, engine arguments). Exits 0 after `--help`, 2 on a usage error."""
    ours = argv[: argv.index("--")] if "--" in argv else argv
    if "-h" in ours or "--help" in ours:
        print(help_text())
        raise SystemExit(0)
    try:
        return read(argv, os.environ if environ is None else environ)
    except UsageError as error:
        print(f"smg serve: {error}\nTry 'smg serve --help'.", file=sys.stderr)
        raise SystemExit(2) from None


def read(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ServeArgs, list[str]]:
    """As `parse_serve_args`; raises UsageError."""
    own = {f"--{name}": flag for flag in (*FLAGS, IGNORED) for name in flag.names}
    router = options("router-", NOT_FOR_ROUTER)
    # Two readings, because a field name may belong to both (`backend`, `policy`, `api_key`).
    given = read_tokens(argv, {**router, **_keyed(own)}, keep_unknown=True)
    mine = {name[len(MARK) :]: value for name, value in given.values.items() if _is_own(name)}
    for flag in FLAGS:
        if flag.field in mine and (problem := flag.kind.problem(mine[flag.field])):
            raise UsageError(f"--{flag.name}: {problem}")
    mine.pop("worker_urls", None)
    mine["backend"] = backend = _backend(mine.get("backend"), environ)
    modes = BACKEND_LAUNCHERS[backend].connection_modes
    mode = mine.setdefault("connection_mode", modes[0])
    if mode not in modes:
        raise UsageError(f"--connection-mode: {backend} speaks {', '.join(modes)} only, not {mode}")
    values = {name: value for name, value in given.values.items() if not _is_own(name)}
    return backend, ServeArgs(**mine, router=values), given.rest


# Own rows are read under marked field names, so that `--port` and `--router-port` cannot mix.
MARK = "serve."


class _Marked(Flag):
    """A row whose values are kept apart from those of the router's rows."""

    __slots__ = ()

    @property
    def field(self) -> str:
        return MARK + super().field


def _keyed(rows: Mapping[str, Flag]) -> dict[str, Flag]:
    return {
        spelling: _Marked(name=flag.name, kind=flag.kind, help=flag.help, group=flag.group)
        for spelling, flag in rows.items()
    }


def _is_own(name: str) -> bool:
    return name.startswith(MARK)


def _backend(given: str | None, environ: Mapping[str, str]) -> str:
    source = "--backend"
    if given is None and (given := environ.get(DEFAULT_BACKEND_VARIABLE)):
        source = DEFAULT_BACKEND_VARIABLE
    backend = given or DEFAULT_BACKEND
    if backend not in BACKENDS:
        raise UsageError(f"{source}: must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if backend not in BACKEND_LAUNCHERS:
        have = ", ".join(BACKEND_LAUNCHERS)
        raise UsageError(
            f"{source}: {backend} is not available yet (have: {have}). Start the engine yourself "
            "and use 'smg launch --worker-urls URL', or try 'smg serve --backend sim'."
        )
    return backend


def help_text() -> str:
    """Serve's own flags, then the router's."""
    from smg.config.help import flags_help, spelling

    lines = [
        "usage: smg serve [flags] [--router-FLAG ...] [engine flags] [-- engine flags]",
        "",
        "Starts engine workers and a gateway in front of them.",
        "",
        f"{GROUP}:",
    ]
    for flag in FLAGS:
        default = f" (default: {flag.default})" if flag.default not in (None, False) else ""
        text = textwrap.wrap(flag.help + default, HELP_WIDTH - 8)
        lines += [f"  {spelling(flag)}", *(f"        {line}" for line in text)]
    lines += [
        "",
        "Every other flag goes to the engine, as does all that follows '--'.",
        "Flags of the simulated engine: python -m smg.sim --help",
        "",
    ]
    router = flags_help("", "router-", NOT_FOR_ROUTER).split("\n", 2)[2]
    return "\n".join([*lines, router])
