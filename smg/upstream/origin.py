"""Where a worker listens, parsed once from its base URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Origin:
    """Scheme, host, port and base path of a worker. `host_header` is what goes into `host:`."""

    tls: bool
    host: str
    port: int
    base_path: str
    host_header: bytes

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Raises ValueError for anything but `http(s)://host[:port][/path]`."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(
            tls=tls,
            host=parts.hostname,
            port=port,
            base_path=parts.path.rstrip("/"),
            host_header=parts.netloc.rpartition("@")[2].encode("ascii"),
        )

    def path_for(self, path: str) -> str:
        """`path` under the base path; a base that ends in `/v1` does not get it twice."""
        if self.base_path.endswith("/v1") and path.startswith("/v1/"):
            return self.base_path + path[3:]
        return self.base_path + path
