"""A blocking HTTP client for short-lived commands: one connection per request, no redirects.

The standard library is enough here, and starts faster than anything that has to be installed.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from smg.console.errors import Misuse, Refused, Unreachable
from smg.version import __version__

MAX_BODY = 64 << 20  # bytes; what is longer is no answer of a gateway
MAX_TEXT = 300  # characters of a text answer that are worth showing


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class GatewayClient:
    """Speaks to one base URL.

    `key` is sent as a bearer token and never appears in a message. `timeout` is in seconds, for
    connecting and for each wait after that.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 10.0) -> None:
        """Raises `Misuse` when `url` is no http or https URL."""
        parts = split_url(url)
        self.url = url.rstrip("/")
        self.host = parts[1]
        self._scheme, _, self._port, self._base = parts
        self._key = key
        self._timeout = timeout

    @property
    def has_path(self) -> bool:
        """Whether the URL names more than a host."""
        return bool(self._base)

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """One request; `body` is sent as JSON. Raises `Unreachable`."""
        headers = {"accept": "*/*", "user-agent": f"smg/{__version__}", "connection": "close"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, self._base + path, data, headers)
            answer = connection.getresponse()
            text = answer.read(MAX_BODY + 1)
            if answer.length and len(text) <= MAX_BODY:
                # Read up to a limit, http.client takes an early end for the end.
                raise http.client.IncompleteRead(text)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no answer from {self.url}: {_reason(error)}") from None
        finally:
            connection.close()
        if len(text) > MAX_BODY:
            raise Unreachable(f"the answer of {self.url} is longer than {MAX_BODY} bytes")
        return Reply(answer.status, text)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request that is to succeed with a JSON object. Raises `Unreachable`, `Refused`."""
        reply = self.call(method, path, body)
        if not 200 <= reply.status < 300:
            raise self.refusal(reply)
        value = reply.json()
        if not isinstance(value, dict):
            raise Refused(f"{self.url} answered with no JSON: is it an SMG gateway?", reply.status)
        return value

    def refusal(self, reply: Reply) -> Refused:
        """What an answer of another status than 2xx says, and what to do about it."""
        message, code = _explanation(reply)
        if self._key:
            # An answer that repeats the request must not put the key on a screen.
            message = message.replace(self._key, "[redacted]")
        if reply.status == 401:
            hint = "the admin key is not accepted" if self._key else "set SMG_ADMIN_KEY"
            message = f"{message or 'not authorised'}; {hint}"
        elif reply.status == 403:
            message = f"{message or 'forbidden'}; the key in SMG_ADMIN_KEY may not do this"
        elif code == "unknown_url":
            message = f"{self.url} does not serve this call: an older gateway, or another port?"
        what = f"{reply.status} {code}" if code else str(reply.status)
        return Refused(f"{message or 'no reason given'} ({what})", reply.status, code)

    def _connection(self) -> http.client.HTTPConnection:
        if self._scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self.host, self._port, timeout=self._timeout, context=context
            )
        return http.client.HTTPConnection(self.host, self._port, timeout=self._timeout)


def split_url(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path without a `/` at its end. Raises `Misuse`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Misuse("the URL is not valid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misuse("the URL must look like http://HOST:PORT")
    if parts.username is not None or parts.query or parts.fragment:
        raise Misuse("the URL may have a host, a port and a path, and no more")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Misuse("the URL has characters that a URL cannot have")
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer broke off"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return "that is no HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _explanation(reply: Reply) -> tuple[str, str | None]:
    """Message and code of an error answer, in any of the shapes that the gateway uses."""
    value = reply.json()
    if isinstance(value, dict):
        error = value.get("error")
        source = error if isinstance(error, dict) else value
        message = source.get("message") if isinstance(error, dict) else error
        code = source.get("code")
        return (
            message if isinstance(message, str) else "",
            code if isinstance(code, str) else None,
        )
    return reply.body[: MAX_TEXT * 4].decode("utf-8", "replace").strip()[:MAX_TEXT], None
