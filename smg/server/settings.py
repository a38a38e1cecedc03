"""Limits of the inbound side, one documented table (http-api 3.7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSettings:
    """All times in seconds (0 = off), all sizes in bytes."""

    max_payload_size: int = 536_870_912
    header_read_timeout: float = 30
    idle_timeout: float = 90
    body_stall_timeout: float = 300
    max_target_bytes: int = 16_384
    max_head_bytes: int = 65_536
    max_headers: int = 128
    #: unread bytes of a refused body that are drained so that the connection can live on
    drain_bytes: int = 65_536
    #: how long a connection that we close may take to read its last answer
    linger: float = 5
    #: bytes waiting for a slow reader before its producer is paused
    write_buffer_high: int = 65_536
    #: pipelined bytes kept while a request is being answered
    max_pipelined_bytes: int = 65_536
    request_id_headers: tuple[bytes, ...] = (
        b"x-request-id",
        b"x-correlation-id",
        b"x-trace-id",
        b"request-id",
    )
    #: empty = no cross-origin allowance; (b"*",) = any origin
    cors_allowed_origins: tuple[bytes, ...] = ()
