"""Writes docs/reference/routes.md from the route table: `python -m smg.endpoints.reference`."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from smg.endpoints.metrics import routes as metrics_routes
from smg.endpoints.routes import NOT_IN_HTTP_MODE, Handlers, build
from smg.observability.metrics import Registry
from smg.server import Auth, Route

HEADER = """# Routes

Written by `python -m smg.endpoints.reference`; a test compares it with the code.

**Who may call**: *public* never needs a key. *data plane* and *control plane* need the gateway key
once `--api-key` is set (`Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key`), and are
open without one. Every `GET` also answers `HEAD`. An unknown path is 404 `unknown_url`, a known one
with another method 405 `method_not_allowed` with an `Allow` header.

| Method | Path | Who may call | `endpoint` label | Generated request id |
|---|---|---|---|---|
"""


def _row(route: Route, served: bool) -> str:
    auth = {Auth.PUBLIC: "public", Auth.DATA: "data plane", Auth.CONTROL: "control plane"}
    path = route.path.replace(":rest}", "}")
    note = "" if served else " (501 `not_implemented` in HTTP mode)"
    prefix = route.id_prefix.decode()
    return (
        f"| {route.method} | `{path}`{note} | {auth[route.auth]} | `{route.endpoint}` |"
        f" `{prefix}…` |\n"
    )


def render() -> str:
    """The page."""

    def nothing(*_: Any) -> Any:
        return nothing

    handlers = Handlers(**{field.name: nothing for field in dataclasses.fields(Handlers)})
    rows = [
        _row(route, (route.method, route.path) not in NOT_IN_HTTP_MODE) for route in build(handlers)
    ]
    metrics = "\nOn the metrics port (`--prometheus-port`), without keys:\n\n"
    metrics += "".join(f"- `{route.method} {route.path}`\n" for route in metrics_routes(Registry()))
    return HEADER + "".join(rows) + metrics


if __name__ == "__main__":
    sys.stdout.write(render())
