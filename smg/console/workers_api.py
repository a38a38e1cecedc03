"""The worker calls of the gateway's API, and which worker an operator means."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from smg.console.client import GatewayClient
from smg.console.errors import Misuse, Refused
from smg.console.info import Info, without_key
from smg.console.text import same_url
from smg.core.ids import is_uuid

NOT_FOUND = "WORKER_NOT_FOUND"
SHORTEST_ID = 4  # characters of an id that may stand for the whole


class WorkersApi:
    """`/workers` of one gateway. Everything raises `Unreachable` and `Refused`."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    def listing(self, model: str | None = None) -> Info:
        """`{"workers": [...], "total": n, "stats": {...}}`, of one model if `model` is given."""
        query = "?" + urlencode({"model": model}) if model else ""
        answer = self._client.ask("GET", f"/workers{query}")
        workers = answer.get("workers")
        if not isinstance(workers, list) or not all(isinstance(row, dict) for row in workers):
            raise Refused("the answer has no list of workers: is it an SMG gateway?", 200)
        answer["workers"] = [without_key(row) for row in workers]
        return answer

    def workers(self, model: str | None = None) -> list[Info]:
        """The workers alone."""
        found: list[Info] = self.listing(model)["workers"]
        return found

    def get(self, worker_id: str) -> Info:
        """One worker, with its job if there is one."""
        return without_key(self._client.ask("GET", _path(worker_id)))

    def add(self, spec: Info) -> Info:
        """Register a worker; the answer says that the order was taken."""
        return self._client.ask("POST", "/workers", spec)

    def change(self, worker_id: str, patch: Info) -> Info:
        """Change a worker; the answer says that the order was taken."""
        return self._client.ask("PATCH", _path(worker_id), patch)

    def remove(self, worker_id: str) -> Info:
        """Drain and remove a worker; the answer says that the order was taken."""
        return self._client.ask("DELETE", _path(worker_id))

    def find(self, target: str) -> str:
        """The id of the worker that `target` names: an id, the start or end of one, or a URL.

        Raises `Refused` when there is none, `Misuse` when there are several.
        """
        if is_uuid(target):
            return target
        found = [row for row in self.workers() if _is_named(row, target)]
        if not found:
            raise Refused(f"no worker {target}", 404, NOT_FOUND)
        if len(found) > 1:
            raise Misuse(f"{target} names {len(found)} workers; give more of the id")
        return str(found[0].get("id", ""))


def _is_named(info: Info, target: str) -> bool:
    if "://" in target:
        return same_url(str(info.get("url", "")), target)
    name, part = str(info.get("id", "")), target.lower()
    return len(part) >= SHORTEST_ID and (name.startswith(part) or name.endswith(part))


def _path(worker_id: str) -> str:
    return f"/workers/{quote(worker_id, safe='')}"
