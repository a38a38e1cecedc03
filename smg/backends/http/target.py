"""What the HTTP backend prepares once per worker, so that a request only joins bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.upstream.origin import Origin

if TYPE_CHECKING:
    from smg.upstream.client import HttpClient
    from smg.upstream.pool import UpstreamPool
    from smg.workers import Worker


class Target:
    """A worker as the relay needs it; kept in `worker.transport`."""

    def __init__(self, worker: Worker, client: HttpClient) -> None:
        # Ranks of one engine have an address in common, and its connections.
        self.pool: UpstreamPool = client.pool(worker.base_url)
        self.pool.settings = client.settings.merged(worker.spec.http_pool)
        self._origin = Origin.parse(worker.base_url)
        self.authorization = (
            b"authorization: Bearer " + worker.api_key.encode("latin-1") + b"\r\n"
            if worker.api_key
            else b""
        )
        #: response header line that names the worker
        self.routed = b"x-smg-routed-worker-id: " + worker.url.encode("latin-1") + b"\r\n"
        self._prefixes: dict[str, bytes] = {}

    def prefix(self, path: str) -> bytes:
        """Request line and the headers that never change, for a POST of JSON to `path` (one of our
        routes).
        """
        prefix = self._prefixes.get(path)
        if prefix is None:
            prefix = self.request_line("POST", path) + b"content-type: application/json\r\n"
            self._prefixes[path] = prefix
        return prefix

    def request_line(self, method: str, path: str) -> bytes:
        """Request line and host header."""
        line = f"{method} {self._origin.path_for(path)} HTTP/1.1\r\nhost: ".encode("latin-1")
        return line + self._origin.host_header + b"\r\n"


def target_of(worker: Worker, client: HttpClient) -> Target:
    """The worker's target, made on first use."""
    target = worker.transport
    if target is None:
        target = worker.transport = Target(worker, client)
    assert isinstance(target, Target)
    return target
