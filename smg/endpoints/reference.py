"""Writes docs/reference/routes.md from the route table: `python -m smg.endpoints.reference`."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from smg.endpoints import metrics
from smg.endpoints.routes import NOT_IN_HTTP_MODE, Handlers, build
from smg.server import Route

HEADER = """# Routes

Written by `python -m smg.endpoints.reference`; a test compares it with the code.

**Who may call**: *public* never needs a key. The others are open while no keys are configured;
which key opens *data plane* and *control plane* then is told in [Security](../guide/security.md).
*either* is open to whom the data plane is, and to every control-plane key. Every `GET` also answers
`HEAD`. An unknown path is 404 `unknown_url`, a known one with another method 405
`method_not_allowed` with an `Allow` header.

| Method | Path | Who may call | `endpoint` label | Generated request id |
|---|---|---|---|---|
"""


class _Nothing:
    """Stands for any handler, or an object that has some."""

    def __call__(self, *_: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return self


def _row(route: Route, served: bool) -> str:
    path = route.path.replace(":rest}", "}")
    note = "" if served else " (501 `not_implemented` in HTTP mode)"
    prefix = route.id_prefix.decode()
    return (
        f"| {route.method} | `{path}`{note} | {route.auth.value} | `{route.endpoint}` |"
        f" `{prefix}…` |\n"
    )


def render() -> str:
    """The page."""

    nothing: Any = _Nothing()
    handlers = Handlers(**{field.name: nothing for field in dataclasses.fields(Handlers)})
    rows = [
        _row(route, (route.method, route.path) not in NOT_IN_HTTP_MODE) for route in build(handlers)
    ]
    other = (
        f"\nOn the metrics port (`--prometheus-port`), without keys:\n\n- `GET {metrics.PATH}`\n"
    )
    return HEADER + "".join(rows) + other


if __name__ == "__main__":
    sys.stdout.write(render())
