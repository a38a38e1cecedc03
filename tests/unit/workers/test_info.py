"""Workers as the API shows them: keys, their order, what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from smg.workers import ModelCard, Worker, WorkerSpec, WorkerStatus
from smg.workers.decode import worker_spec
from smg.workers.info import listing, placeholder_info, worker_info
from smg.workers.spec import HealthSpec, OverloadSpec, ResilienceSpec

URL = "http://10.0.0.7:8000"
SECRET = "sk-very-secret"


@dataclass
class Job:
    job_type: str = "AddWorker"
    worker_url: str = URL
    status: str = "processing"
    message: str | None = None
    timestamp: int = 1767225600


def test_the_example_of_the_documents() -> None:
    worker = Worker(
        URL,
        id="0198c0de-0000-7000-8000-000000000001",
        models=[ModelCard("acme/llm-8b")],
        runtime="sglang",
        labels={"zone": "a"},
    )
    worker.status = WorkerStatus.READY
    worker.load = 3
    assert orjson.dumps(worker_info(worker)) == (
        b'{"id":"0198c0de-0000-7000-8000-000000000001","model_id":"acme/llm-8b",'
        b'"url":"http://10.0.0.7:8000","models":[{"id":"acme/llm-8b",'
        b'"model_type":["chat","completions","responses","tools"]}],"worker_type":"regular",'
        b'"connection_mode":"http","runtime_type":"sglang","labels":{"zone":"a"},"priority":50,'
        b'"cost":1.0,"max_connection_attempts":20,"is_healthy":true,"status":"ready","load":3}'
    )


def test_a_wildcard_worker_names_no_model() -> None:
    shown = worker_info(Worker(URL))
    assert list(shown) == [
        "id",
        "url",
        "worker_type",
        "connection_mode",
        "runtime_type",
        "priority",
        "cost",
        "max_connection_attempts",
        "is_healthy",
        "status",
        "load",
    ]


@pytest.mark.parametrize("status", list(WorkerStatus))
def test_healthy_is_ready(status: WorkerStatus) -> None:
    worker = Worker(URL)
    worker.status = status
    shown = worker_info(worker)
    assert (shown["status"], shown["is_healthy"]) == (status.value, status is WorkerStatus.READY)


def test_the_worker_wins_over_its_spec() -> None:
    spec = WorkerSpec(
        url=URL,
        models=(ModelCard("posted"),),
        labels={"a": "posted"},
        priority=1,
        cost=9.0,
        worker_type="decode",
        runtime_type="unspecified",
        bootstrap_port=8998,
        kv_role="producer",
        health=HealthSpec(drain_settle_secs=0, timeout_secs=2),
        resilience=ResilienceSpec(retryable_status_codes=(500,), capacity_status_codes=()),
        overload=OverloadSpec(token_usage=0.5),
        api_key=SECRET,
    )
    worker = Worker(
        URL,
        worker_type="prefill",
        runtime="vllm",
        models=[ModelCard("found", root="/models/found", context_length=10)],
        labels={"a": "now"},
        priority=2,
        cost=3.0,
        spec=spec,
        api_key=SECRET,
    )
    shown = worker_info(worker)
    assert SECRET not in str(shown)
    assert {key: shown[key] for key in shown if key not in ("id", "status", "load")} == {
        "model_id": "found",
        "url": URL,
        "models": [
            {
                "id": "found",
                "model_type": ["chat", "completions", "responses", "tools"],
                "root": "/models/found",
                "context_length": 10,
            }
        ],
        "worker_type": "prefill",
        "connection_mode": "http",
        "runtime_type": "vllm",
        "labels": {"a": "now"},
        "priority": 2,
        "cost": 3.0,
        "bootstrap_port": 8998,
        "kv_role": "producer",
        "health": {"timeout_secs": 2, "drain_settle_secs": 0},
        "resilience": {"retryable_status_codes": [500], "capacity_status_codes": []},
        "overload": {"token_usage": 0.5},
        "max_connection_attempts": 20,
        "is_healthy": False,
    }


def test_a_data_parallel_rank() -> None:
    spec = WorkerSpec(url=URL, dp_size=2)
    shown = worker_info(Worker(URL, dp_rank=1, spec=spec))
    assert shown["url"] == f"{URL}@1"
    assert (shown["dp_base_url"], shown["dp_rank"], shown["dp_size"]) == (URL, 1, 2)
    assert worker_info(Worker(URL, dp_rank=0, spec=spec))["dp_rank"] == 0
    assert "dp_rank" not in worker_info(Worker(URL))


def test_the_whole_card_is_shown() -> None:
    card: dict[str, Any] = {
        "id": "m",
        "display_name": "M",
        "aliases": ["a"],
        "model_type": ["embeddings"],
        "hf_model_type": "bert",
        "architectures": ["BertModel"],
        "root": "/m",
        "provider": "xai",
        "context_length": 512,
        "tokenizer_path": "/m/t",
        "chat_template": "x",
        "reasoning_parser": "base",
        "tool_parser": "json",
        "metadata": {"x": [1]},
        "id2label": {"0": "no"},
        "num_labels": 0,
    }
    spec = worker_spec(orjson.dumps({"url": URL, "models": [card]}))
    (shown,) = worker_info(Worker(URL, models=spec.models))["models"]
    assert shown == card
    assert list(shown) == list(card)


def test_a_job_is_shown() -> None:
    worker = Worker(URL)
    assert worker_info(worker, Job("UpdateWorker"))["job_status"] == {
        "job_type": "UpdateWorker",
        "worker_url": URL,
        "status": "processing",
        "message": None,
        "timestamp": 1767225600,
    }
    failed = worker_info(worker, Job(status="failed", message="not reached"))
    assert failed["job_status"]["message"] == "not reached"
    assert list(failed)[-1] == "job_status"
    assert worker_info(worker, Job(message="trying"))["job_status"]["message"] is None


def test_a_placeholder_shows_what_was_posted() -> None:
    # Trap 13.
    spec = WorkerSpec(
        url="grpc://h:1",
        models=(ModelCard("m"),),
        worker_type="prefill",
        labels={"a": "1"},
        priority=7,
        cost=2.0,
        bootstrap_port=8998,
        api_key=SECRET,
    )
    shown = placeholder_info("the-id", spec, Job(), failed=False)
    assert SECRET not in str(shown)
    assert shown == {
        "id": "the-id",
        "model_id": "m",
        "url": "grpc://h:1",
        "models": [{"id": "m", "model_type": ["chat", "completions", "responses", "tools"]}],
        "worker_type": "prefill",
        "connection_mode": "grpc",
        "runtime_type": "unspecified",
        "labels": {"a": "1"},
        "priority": 7,
        "cost": 2.0,
        "bootstrap_port": 8998,
        "max_connection_attempts": 20,
        "is_healthy": False,
        "status": "pending",
        "load": 0,
        "job_status": {
            "job_type": "AddWorker",
            "worker_url": URL,
            "status": "processing",
            "message": None,
            "timestamp": 1767225600,
        },
    }
    failed = placeholder_info("the-id", spec, Job(status="failed", message="why"), failed=True)
    assert (failed["status"], failed["is_healthy"]) == ("failed", False)
    assert failed["job_status"]["message"] == "why"


def test_a_listing_counts_roles() -> None:
    roles = ["regular", "regular", "prefill", "decode", "encode"]
    workers = [Worker(f"http://w{n}:1", worker_type=role) for n, role in enumerate(roles)]
    shown = listing(workers)
    assert [one["url"] for one in shown["workers"]] == [worker.url for worker in workers]
    assert shown["total"] == 5
    assert shown["stats"] == {"prefill_count": 1, "decode_count": 1, "regular_count": 2}
    assert listing([]) == {
        "workers": [],
        "total": 0,
        "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 0},
    }


def test_what_is_shown_is_a_copy() -> None:
    worker = Worker(URL, labels={"a": "1"})
    worker_info(worker)["labels"]["a"] = "2"
    assert worker.labels == {"a": "1"}


def test_an_answer_may_be_posted_again() -> None:
    posted = worker_spec(
        orjson.dumps(
            {
                "url": URL,
                "models": [{"id": "m", "aliases": ["n"], "model_type": 8}],
                "runtime": "vllm",
                "connection_mode": "http",
                "labels": {"a": "b"},
                "health": {"disable_health_check": True},
                "kv_block_size": 16,
                "cost": 2,
            }
        )
    )
    shown = placeholder_info("id", posted, Job(), failed=False)
    assert worker_spec(orjson.dumps(shown)) == posted
