"""A small gateway to talk to: `/workers`, `/readiness` and metrics over real sockets, in threads.

    with ConsoleApi(workers=[worker()]) as api:
        assert cli.main(["workers", "list", "--url", api.url]) == 0

It keeps the API's contract (http-api 16) as far as a client sees it. Jobs go on by themselves, a
step at each look: `job_looks` is how often a client finds one still running.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

Info = dict[str, Any]
PREFIX = "0198c0de-0000-7000-8000-"


def worker(number: int = 1, **values: Any) -> Info:
    """A worker as the API shows it; `number` makes id and address."""
    return {
        "id": f"{PREFIX}{number:012x}",
        "model_id": "acme/llm-8b",
        "url": f"http://10.0.0.{number}:8000",
        "models": [{"id": "acme/llm-8b", "model_type": ["chat"]}],
        "worker_type": "regular",
        "connection_mode": "http",
        "runtime_type": "sglang",
        "priority": 50,
        "cost": 1.0,
        "max_connection_attempts": 20,
        "is_healthy": values.get("status", "ready") == "ready",
        "status": "ready",
        "load": 0,
        **values,
    }


class ConsoleApi:
    """The fake. `key` is what it wants to be shown; `requests` are (method, path, body, headers) as
    they came; `fail_jobs` makes jobs end with that message; `answer` overrides answers by
    (method, path): (status, body).
    """

    def __init__(
        self,
        workers: list[Info] | None = None,
        *,
        key: str | None = None,
        metrics: str | list[str] = "",
        readiness: tuple[int, Any] = (200, {"status": "ready"}),
        job_looks: int = 1,
        fail_jobs: str | None = None,
    ) -> None:
        self.workers = {info["id"]: dict(info) for info in workers or ()}
        self.key = key
        self.metrics = metrics
        self.readiness = readiness
        self.job_looks = job_looks
        self.fail_jobs = fail_jobs
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self._jobs: dict[str, Info] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        """Base URL; metrics are on the same port, under /metrics."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def metrics_url(self) -> str:
        """What to give to `--metrics-url`."""
        return f"{self.url}/metrics"

    def __enter__(self) -> ConsoleApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def handle(
        self, method: str, target: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        """Status and body: a str is text, everything else becomes JSON."""
        with self._lock:
            parts = urlsplit(target)
            self.requests.append((method, target, body, headers))
            if (method, parts.path) in self.answers:
                return self.answers[method, parts.path]
            if parts.path == "/metrics":
                return 200, self._next_metrics()
            if parts.path == "/readiness":
                return self.readiness
            if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
                return 401, "Unauthorized"
            if parts.path == "/workers":
                return self._post(body) if method == "POST" else self._list(parts.query)
            if match := re.fullmatch(r"/workers/([0-9a-f-]{36})", parts.path):
                return self._one(method, match[1], body)
            return 404, {"error": {"code": "unknown_url", "message": "Unknown request URL."}}

    def _next_metrics(self) -> str:
        if isinstance(self.metrics, str):
            return self.metrics
        return self.metrics.pop(0) if len(self.metrics) > 1 else self.metrics[0]

    def _list(self, query: str) -> tuple[int, Any]:
        model = parse_qs(query).get("model", [None])[0]
        found = [
            info
            for info in self.workers.values()
            if model is None or info.get("model_id") in (None, model)
        ]
        stats = {"prefill_count": 0, "decode_count": 0, "regular_count": len(found)}
        return 200, {"workers": found, "total": len(found), "stats": stats}

    def _post(self, body: Any) -> tuple[int, Any]:
        for info in self.workers.values():
            if info["url"] == body["url"]:
                message = f"worker {info['id']} is there already"
                return 409, {"error": message, "code": "WORKER_ALREADY_EXISTS"}
        spec = {name: value for name, value in body.items() if name != "api_key"}
        info = worker(len(self.workers) + 1, status="pending", **spec)
        self.workers[info["id"]] = info
        self._jobs[info["id"]] = {"type": "AddWorker", "looks": self.job_looks}
        return 202, {
            "status": "accepted",
            "worker_id": info["id"],
            "url": info["url"],
            "location": f"/workers/{info['id']}",
            "message": "Worker addition queued for background processing",
        }

    def _one(self, method: str, worker_id: str, body: Any) -> tuple[int, Any]:
        info = self.workers.get(worker_id)
        if info is None:
            return 404, {"error": f"Worker {worker_id} not found", "code": "WORKER_NOT_FOUND"}
        if method == "GET":
            return self._look(info)
        if method == "PATCH":
            self._jobs[worker_id] = {"type": "UpdateWorker", "looks": self.job_looks}
            if self.fail_jobs is None:
                labels = {**info.get("labels", {}), **body.get("labels", {})}
                patch = {name: value for name, value in body.items() if name != "api_key"}
                info.update(patch, labels=labels)
        else:
            self._jobs[worker_id] = {"type": "RemoveWorker", "looks": self.job_looks}
            info.update(status="draining", is_healthy=False)
        message = "queued for background processing"
        return 202, {"status": "accepted", "worker_id": worker_id, "message": message}

    def _look(self, info: Info) -> tuple[int, Any]:
        """A worker, with its job, which goes on a step."""
        job = self._jobs.get(info["id"])
        if job is None:
            return 200, info
        status, message = "processing", None
        if job["looks"] <= 0 and self.fail_jobs is not None:
            status, message = "failed", self.fail_jobs
        elif job["looks"] <= 0:
            del self._jobs[info["id"]]
            if job["type"] == "RemoveWorker":
                del self.workers[info["id"]]
                return 404, {"error": "Worker not found", "code": "WORKER_NOT_FOUND"}
            if job["type"] == "AddWorker":
                info.update(status="ready", is_healthy=True)
            return 200, info
        job["looks"] -= 1
        shown = {
            "job_type": job["type"],
            "worker_url": info["url"],
            "status": status,
            "message": message,
            "timestamp": 1767225600,
        }
        return 200, {**info, "job_status": shown}


class _Server(http.server.ThreadingHTTPServer):
    api: ConsoleApi
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        text = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(text) if text else None
        status, value = self.server.api.handle(self.command, self.path, body, headers)
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(value, str) else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # whatever the method
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
