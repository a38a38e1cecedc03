"""Questions to a worker outside of traffic: is it healthy, what does it say about itself.

An answer of any kind is data here, never an exception: a worker that is down, slow, redirects or
talks nonsense gives a reason that can be logged. Reasons contain no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from smg.core.errors import GatewayError

HEALTH_BYTES = 1 << 20
JSON_BYTES = 8 << 20  # an engine's server info lists every argument and the state of every rank


class Reply(Protocol):
    """A whole answer; `smg.upstream.Reply`."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """In order, names in lower case."""
        ...

    @property
    def body(self) -> bytes:
        """The decoded body."""
        ...


class Fetcher(Protocol):
    """The part of `smg.upstream.HttpClient` that the control plane uses."""

    async def fetch(
        self,
        base_url: str,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        timeout: float,
        max_bytes: int = 64 << 20,
    ) -> Reply:
        """One request; raises GatewayError subclasses, never follows redirects."""
        ...


class Target(Protocol):
    """Whom to ask: a worker, or an address that is not a worker yet."""

    @property
    def base_url(self) -> str:
        """What to connect to: of a data-parallel rank, the address without the rank."""
        ...

    @property
    def api_key(self) -> str | None:
        """Sent as a bearer token."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """A target that is not registered yet."""

    url: str
    api_key: str | None = None

    @property
    def base_url(self) -> str:
        """The same: an address has no rank."""
        return self.url


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question for JSON. `status` 0: no HTTP answer. `data` only of a 2xx answer."""

    status: int
    data: Any = None
    problem: str = ""


def key_headers(target: Target) -> tuple[tuple[bytes, bytes], ...]:
    """The worker's own key as a header, if it has one."""
    if not target.api_key:
        return ()
    return ((b"authorization", b"Bearer " + target.api_key.encode("utf-8")),)


async def check_health(fetcher: Fetcher, target: Target, path: str, timeout: float) -> str | None:
    """None if the worker answers 2xx in `timeout` seconds, else what is wrong."""
    try:
        reply = await fetcher.fetch(
            target.base_url,
            "GET",
            path,
            headers=key_headers(target),
            timeout=timeout,
            max_bytes=HEALTH_BYTES,
        )
    except GatewayError as error:
        return describe(error)
    if 200 <= reply.status < 300:
        return None
    return f"{path} answered {reply.status}"


async def ask_json(fetcher: Fetcher, target: Target, *paths: str, timeout: float) -> Answer:
    """GET the first of `paths` that exists: engines renamed some, so 404 and 405 mean the next."""
    answer = Answer(0, problem="nothing asked")
    for path in paths:
        answer = await _ask(fetcher, target, path, timeout)
        if answer.status not in (404, 405):
            break
    return answer


async def _ask(fetcher: Fetcher, target: Target, path: str, timeout: float) -> Answer:
    if timeout <= 0:
        return Answer(0, problem=f"no time left to ask {path}")
    try:
        reply = await fetcher.fetch(
            target.base_url,
            "GET",
            path,
            headers=(*key_headers(target), (b"accept", b"application/json")),
            timeout=timeout,
            max_bytes=JSON_BYTES,
        )
    except GatewayError as error:
        return Answer(0, problem=f"{path}: {describe(error)}")
    if not 200 <= reply.status < 300:
        return Answer(reply.status, problem=f"{path} answered {reply.status}")
    try:
        return Answer(reply.status, orjson.loads(reply.body))
    except orjson.JSONDecodeError:
        return Answer(reply.status, problem=f"{path} did not answer with JSON")


def describe(error: GatewayError) -> str:
    """An upstream error in the words of a log line."""
    return f"{error.message} ({error.cause})" if error.cause else error.message
