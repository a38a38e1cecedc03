"""The audit log: one line per decision of the control plane, logger `smg.audit`
(external-security-wasm 9.6).

A line tells who asked for what and whether they were let in (`outcome`), and in a second field how
the gateway answered (`status`); "let in" alone is no success. Fields without a value are left out.
Log formats escape what could fake a line; here strings are also bounded, because a client chooses
them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from smg.auth.control import Principal
from smg.observability.logging import log_fields

log = logging.getLogger("smg.audit")

MESSAGE = "control_plane_audit"
#: characters of a string that are kept; a client may send as many as the head of a request holds
LIMIT = 1024
TRUNCATED = "...[TRUNCATED]"

_ESCAPES = {ord(char): f"\\x{ord(char):02x}" for char in map(chr, (*range(32), *range(127, 160)))}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", ord("\\"): "\\\\"}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `path` is without query; `resource` is the id in it, if it has one."""

    method: bytes
    path: bytes
    resource: str | None
    request_id: bytes


def granted(
    request: Request, principal: Principal, status: int | None, details: str | None = None
) -> None:
    """`principal` was let in, and answered with `status`; None if no answer went out."""
    _write(request, principal, "success", status, details)


def denied(request: Request, principal: Principal | None, status: int, reason: str) -> None:
    """The caller was not let in; `principal` is who it was, if it had a valid key."""
    _write(request, principal, "denied", status, reason)


def _write(
    request: Request,
    principal: Principal | None,
    outcome: str,
    status: int | None,
    details: str | None,
) -> None:
    log_fields(
        log,
        logging.INFO,
        MESSAGE,
        principal=clean(principal.id) if principal else "unauthenticated",
        auth_method=principal.method.partition(":")[0] if principal else "none",
        role=principal.role if principal else "user",
        method=clean(request.method.decode("latin-1")),
        path=clean(request.path.decode("latin-1")),
        resource=None if request.resource is None else clean(request.resource),
        outcome=outcome,
        status=status,
        request_id=clean(request.request_id.decode("latin-1")),
        details=None if details is None else clean(details),
    )


def clean(text: str) -> str:
    """The first `LIMIT` characters, with control characters and backslashes as escapes."""
    short = text[:LIMIT].translate(_ESCAPES)
    return short if len(text) <= LIMIT else short + TRUNCATED
