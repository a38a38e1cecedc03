"""Bodies of the worker API: what is kept, what is refused and in which words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import AdminError
from smg.workers.cards import MAX_DEPTH
from smg.workers.decode import put_body, worker_patch, worker_spec
from smg.workers.spec import (
    LLM,
    MODEL_TYPES,
    HealthSpec,
    ModelCard,
    OverloadSpec,
    WorkerPatch,
    WorkerSpec,
)

URL = "http://10.0.0.5:8000"
SECRET = "sk-very-secret"


def spec(**fields: Any) -> WorkerSpec:
    return worker_spec(orjson.dumps({"url": URL, **fields}))


def patch(**fields: Any) -> WorkerPatch:
    return worker_patch(orjson.dumps(fields))


def card(**fields: Any) -> ModelCard:
    (found,) = spec(models=[{"id": "m", **fields}]).models
    return found


def refusal(raw: bytes) -> str:
    with pytest.raises(AdminError) as caught:
        worker_spec(raw)
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")
    return caught.value.message


def refused(**fields: Any) -> str:
    return refusal(orjson.dumps({"url": URL, **fields}))


# What is kept


def test_defaults() -> None:
    found = spec()
    assert found == WorkerSpec(url=URL)
    assert (found.priority, found.cost, found.max_connection_attempts) == (50, 1.0, 20)
    assert (found.worker_type, found.runtime_type, found.connection_mode) == (
        "regular",
        "unspecified",
        None,
    )
    assert found.models == ()


def test_everything() -> None:
    body: dict[str, Any] = {
        "worker_type": "prefill",
        "connection_mode": "grpc",
        "runtime_type": "sglang",
        "provider": "acme",
        "labels": {"zone": "a", "empty": ""},
        "priority": 0,
        "cost": 0.25,
        "api_key": SECRET,
        "bootstrap_port": 8998,
        "dp_base_url": URL,
        "dp_rank": 0,
        "dp_size": 2,
        "kv_connector": "nixl",
        "kv_role": "producer",
        "kv_engine_id": "e1",
        "kv_block_size": 16,
        "max_connection_attempts": 3,
        "load_monitor_interval_secs": 5,
        "multimodal_tensor_transport": "shm",
        "multimodal_shm_min_bytes": 0,
        "zmq_handshake_address": "tcp://10.0.0.5:9000",
    }
    found = spec(
        **body,
        health={
            "timeout_secs": 1.5,
            "check_interval_secs": 10,
            "success_threshold": 1,
            "failure_threshold": 2,
            "disable_health_check": False,
            "drain_settle_secs": 0,
        },
        http_pool={
            "pool_max_idle_per_host": 0,
            "pool_idle_timeout_secs": 0,
            "timeout_secs": 30,
            "connect_timeout_secs": 10,
        },
        resilience={
            "max_retries": 1,
            "initial_backoff_ms": 0,
            "max_backoff_ms": 100,
            "backoff_multiplier": 2,
            "jitter_factor": 0,
            "disable_retry": True,
            "cb_failure_threshold": 1,
            "cb_success_threshold": 1,
            "cb_timeout_secs": 0,
            "cb_window_secs": 60,
            "disable_circuit_breaker": False,
            "retryable_status_codes": [503, 500],
            "capacity_status_codes": [],
        },
        overload={"waiting_requests": 1, "token_usage": 1},
    )
    for name, value in body.items():
        assert getattr(found, name) == value, name
    assert found.health == HealthSpec(1.5, 10, 1, 2, False, 0)
    assert found.http_pool.connect_timeout_secs == 10
    assert found.resilience.retryable_status_codes == (503, 500)
    assert found.resilience.capacity_status_codes == ()
    assert found.overload == OverloadSpec(1, 1.0)


def test_null_is_absent_and_unknown_keys_are_ignored() -> None:
    every_key = {name: None for name in WorkerSpec.__struct_fields__ if name != "url"}
    assert spec(**every_key, runtime=None, model_id=None) == WorkerSpec(url=URL)
    answer = {"id": "x", "status": "ready", "is_healthy": True, "load": 3, "job_status": {}}
    assert spec(**answer, whatever=[1], health={"other": 1, "timeout_secs": None}) == spec()
    assert card(display_name=None, other=1) == ModelCard("m")


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        ("http://Host:80/v1/", "http://host"),
        ("https://host/v1", "https://host"),
        ("grpcs://h:1", "grpcs://h:1"),
        ("ipc:///tmp/engine", "ipc:///tmp/engine"),
        ("http://[0:0::1]:8000/base/", "http://[::1]:8000/base"),
    ],
)
def test_the_url_is_kept_in_its_canonical_form(posted: str, kept: str) -> None:
    assert spec(url=posted).url == kept
    assert spec(dp_base_url=posted).dp_base_url == kept


# Trap 11, and other ways to say the same


def test_model_id_is_a_card() -> None:
    assert spec(model_id="acme/llm").models == (ModelCard("acme/llm"),)
    assert spec(model_id="m", models=[]).models == (ModelCard("m"),)
    both = spec(model_id="a", models=[{"id": "a", "aliases": ["b"]}, {"id": "c"}])
    assert [one.id for one in both.models] == ["a", "c"]
    assert "model_id: contradicts models" in refused(model_id="c", models=[{"id": "a"}])


def test_disable_health_check_at_the_top() -> None:
    assert spec(disable_health_check=True).health.disable_health_check is True
    merged = spec(disable_health_check=False, health={"timeout_secs": 3}).health
    assert merged == HealthSpec(timeout_secs=3, disable_health_check=False)
    assert patch(disable_health_check=True).health == HealthSpec(disable_health_check=True)
    same = {"disable_health_check": True}
    assert spec(disable_health_check=True, health=same) == spec(health=same)
    assert "contradicts" in refused(disable_health_check=False, health=same)


def test_runtime_has_two_names() -> None:
    assert spec(runtime="vllm").runtime_type == "vllm"
    assert spec(runtime="tensorrt-llm").runtime_type == "trtllm"
    assert spec(runtime_type="tensorrt-llm", runtime="trtllm").runtime_type == "trtllm"
    assert "runtime: contradicts runtime_type" in refused(runtime="vllm", runtime_type="sglang")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("grok", "xai"),
        ("claude", "anthropic"),
        ("google", "gemini"),
        ("OpenAI", "openai"),
        ("Acme", "Acme"),
    ],
)
def test_providers(given: str, kept: str) -> None:
    assert spec(provider=given).provider == kept
    assert card(provider=given).provider == kept


def test_model_types() -> None:
    assert card().model_type == LLM
    assert card(model_type=["tools", "chat"]).model_type == ("tools", "chat")
    assert card(model_type=0b1000).model_type == ("embeddings",)
    assert card(model_type=0b1000_0011).model_type == ("chat", "completions", "tools")
    assert card(model_type=4095).model_type == MODEL_TYPES


def test_a_whole_card() -> None:
    fields: dict[str, Any] = {
        "display_name": "M",
        "hf_model_type": "llama",
        "root": "/models/m",
        "context_length": 4096,
        "tokenizer_path": "/models/m/tokenizer.json",
        "chat_template": "{% for m in messages %}\n{{ m }}\n{% endfor %}",
        "reasoning_parser": "qwen3",
        "tool_parser": "hermes",
        "metadata": {"a": [1, None, {"b": 0.5}]},
        "id2label": {"0": "no", "1": ""},
        "num_labels": 0,
    }
    found = card(**fields, aliases=["x", "y"], architectures=["A"])
    for name, value in fields.items():
        assert getattr(found, name) == value, name
    assert (found.aliases, found.architectures) == (("x", "y"), ("A",))


# PATCH and PUT


def test_a_patch() -> None:
    assert patch() == patch(priority=None, labels=None, health=None) == WorkerPatch()
    found = patch(
        priority=7, cost=2, labels={"b": "2"}, api_key="k", health={"failure_threshold": 9}
    )
    assert found == WorkerPatch(
        priority=7,
        cost=2.0,
        labels={"b": "2"},
        api_key="k",
        health=HealthSpec(failure_threshold=9),
    )
    assert patch(url="nonsense", models=3, bootstrap_port=0) == WorkerPatch()
    with pytest.raises(AdminError, match="priority: must be an integer"):
        patch(priority=-1)


def test_put_without_url_is_a_patch() -> None:
    assert put_body(b'{"priority":100}') == WorkerPatch(priority=100)
    assert put_body(b'{"url":null}') == WorkerPatch()
    replacement = put_body(orjson.dumps({"url": URL, "priority": 100}))
    assert replacement == WorkerSpec(url=URL, priority=100)
    with pytest.raises(AdminError, match="url: "):
        put_body(b'{"url":""}')


# What is refused


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 2000, "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"' + SECRET.encode() + b'"', "must be a JSON object"),
        (b"{}", "url: is required"),
        (b'{"url":null}', "url: is required"),
        (b'{"url":8}', "url: must be a string, not 8"),
    ],
)
def test_no_worker_at_all(raw: bytes, words: str) -> None:
    message = refusal(raw)
    assert words in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "10.0.0.5:8000",
        "HTTP://10.0.0.5:8000",
        "tcp://h:1",
        "http://",
        "http://:80",
        "http://h:0",
        "http://h:99999",
        "http://h h",
        "http://h\nx",
        "ipc://",
        "http://h:1@0",
        "http://" + "h" * 3000,
    ],
)
def test_urls(url: str) -> None:
    assert refused(url=url).startswith("url: ")
    assert refused(dp_base_url=url).startswith("dp_base_url: ")


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@h:1",
        f"HTTP://user:{SECRET}@h:1",
        f"https://h/v1?key={SECRET}",
        f"https://h/#{SECRET}",
        f"user:{SECRET}@h",
        f"http://user:{SECRET}@h?x",
    ],
)
def test_passwords_in_urls_are_not_repeated(url: str) -> None:
    assert SECRET not in refused(url=url)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"worker_type": "both"},
            'worker_type: must be one of regular, prefill, decode, encode, not "both"',
        ),
        ({"worker_type": 1}, "worker_type: must be one of"),
        ({"worker_type": ["regular"]}, "worker_type: must be one of"),
        ({"connection_mode": "quic"}, "connection_mode: must be one of http, grpc, zmq"),
        ({"runtime_type": "ollama"}, "runtime_type: must be one of unspecified, sglang"),
        ({"runtime": "ollama"}, "runtime: must be one of"),
        ({"provider": ""}, "provider: must not be empty"),
        ({"priority": -1}, "priority: must be an integer between 0 and 4294967295, not -1"),
        ({"priority": 1 << 32}, "priority"),
        ({"priority": 5.0}, "priority: must be an integer"),
        ({"priority": True}, "priority: must be an integer"),
        ({"priority": "5"}, 'not "5"'),
        ({"cost": 0}, "cost: must be a number above 0"),
        ({"cost": -1.5}, "cost"),
        ({"cost": "1"}, "cost: must be a number"),
        ({"cost": True}, "cost: must be a number"),
        ({"labels": ["a"]}, "labels: must be an object of strings"),
        ({"labels": {"a": 1}}, 'labels: "a" must be a string, not 1'),
        ({"labels": {"a": None}}, 'labels: "a" must be a string, not null'),
        ({"labels": {"": "x"}}, "labels: a name in it: must not be empty"),
        ({"labels": {str(n): "" for n in range(65)}}, "must have at most 64 entries, not 65"),
        ({"labels": {"a": "x" * 2000}}, 'labels: "a" must have at most 1024 characters'),
        ({"bootstrap_port": 0}, "bootstrap_port: must be an integer between 1 and 65535, not 0"),
        ({"bootstrap_port": 65536}, "bootstrap_port"),
        ({"dp_rank": -1}, "dp_rank"),
        ({"dp_rank": 2, "dp_size": 2}, "dp_rank: must be below dp_size (2), not 2"),
        ({"kv_block_size": 0}, "kv_block_size"),
        ({"kv_role": ""}, "kv_role: must not be empty"),
        ({"kv_role": "a\x00"}, "kv_role: must not have control characters"),
        ({"kv_role": "a" * 1025}, "kv_role: must have at most 1024 characters, not 1025"),
        ({"health": []}, "health: must be an object, not an empty array"),
        ({"health": {"timeout_secs": 0}}, "health.timeout_secs: must be a number above 0"),
        ({"health": {"check_interval_secs": -1}}, "health.check_interval_secs"),
        ({"health": {"drain_settle_secs": -0.5}}, "health.drain_settle_secs: must be a"),
        ({"health": {"success_threshold": 0}}, "health.success_threshold"),
        ({"health": {"failure_threshold": 1.5}}, "health.failure_threshold"),
        ({"health": {"disable_health_check": 1}}, "must be true or false, not 1"),
        ({"disable_health_check": "yes"}, "disable_health_check: must be true or false"),
        ({"http_pool": {"connect_timeout_secs": "1"}}, "http_pool.connect_timeout_secs"),
        ({"http_pool": {"pool_max_idle_per_host": -1}}, "http_pool.pool_max_idle_per_host"),
        ({"resilience": {"cb_failure_threshold": 0}}, "resilience.cb_failure_threshold"),
        ({"resilience": {"jitter_factor": 1.1}}, "resilience.jitter_factor"),
        ({"resilience": {"backoff_multiplier": 0.5}}, "resilience.backoff_multiplier"),
        ({"resilience": {"max_retries": 0}}, "resilience.max_retries"),
        (
            {"resilience": {"retryable_status_codes": [99]}},
            "resilience.retryable_status_codes[0]: must be an integer between 100 and 599, not 99",
        ),
        ({"resilience": {"capacity_status_codes": [429, 429]}}, "is given twice: 429"),
        ({"resilience": {"capacity_status_codes": 429}}, "must be an array, not 429"),
        ({"overload": {"token_usage": 0}}, "must be a number above 0 and at most 1,"),
        ({"overload": {"token_usage": 1.01}}, "overload.token_usage"),
        ({"overload": {"waiting_requests": 0}}, "overload.waiting_requests"),
        ({"max_connection_attempts": 0}, "max_connection_attempts"),
        ({"load_monitor_interval_secs": 0}, "load_monitor_interval_secs"),
        ({"multimodal_tensor_transport": "usb"}, "must be one of inline, shm, auto, rdma"),
        ({"multimodal_shm_min_bytes": -1}, "multimodal_shm_min_bytes"),
        ({"zmq_handshake_address": "http://x"}, "zmq_handshake_address: must start with tcp://"),
        ({"zmq_handshake_address": "tcp://"}, "zmq_handshake_address: must start with tcp://"),
        ({"model_id": ""}, "model_id: must not be empty"),
        ({"model_id": "unknown"}, 'model_id: "unknown" stands for any model'),
    ],
)  # fmt: skip
def test_fields(fields: dict[str, Any], words: str) -> None:
    assert words in refused(**fields)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("m", 'models: must be an array, not "m"'),
        (["m"], 'models[0]: must be an object, not "m"'),
        ([{}], "models[0].id: is required"),
        ([{"id": None}], "models[0].id: is required"),
        ([{"id": "a"}, {"id": ""}], "models[1].id: must not be empty"),
        ([{"id": "  "}], "models[0].id: must not be empty"),
        ([{"id": 3}], "models[0].id: must be a string, not 3"),
        ([{"id": "a\nb"}], "models[0].id: must not have control characters"),
        ([{"id": "unknown"}], 'models[0].id: "unknown" stands for any model'),
        ([{"id": "a", "aliases": ["b", "unknown"]}], 'aliases[1]: "unknown" cannot be an'),
        ([{"id": "a", "aliases": [""]}], "models[0].aliases[0]: must not be empty"),
        ([{"id": "a", "aliases": "b"}], "models[0].aliases: must be an array"),
        ([{"id": "a", "aliases": ["b", "b"]}], 'models[0].aliases[1]: is given twice: "b"'),
        ([{"id": "a"}, {"id": "a", "root": "/r"}], 'models[1].id: "a" is also models[0].id'),
        ([{"id": "a"}, {"id": "a"}], "models[1]: is given twice"),
        ([{"id": "a", "aliases": ["a"]}], 'models[0].aliases[0]: "a" is also models[0].id'),
        ([{"id": "a", "aliases": ["b"]}, {"id": "b"}], 'aliases[0]: "b" is also models[1].id'),
        (
            [{"id": "a", "aliases": ["x"]}, {"id": "b", "aliases": ["x"]}],
            'models[1].aliases[0]: "x" is also models[0].aliases[0]',
        ),
        ([{"id": str(n)} for n in range(257)], "models: must have at most 256 entries, not 257"),
        ([{"id": "a", "model_type": ["llm"]}], "models[0].model_type[0]: must be one of chat,"),
        ([{"id": "a", "model_type": []}], "models[0].model_type: must not be empty"),
        ([{"id": "a", "model_type": 0}], "must be an integer between 1 and 4095"),
        ([{"id": "a", "model_type": 4096}], "models[0].model_type"),
        ([{"id": "a", "model_type": "chat"}], "must be an array of names (chat, "),
        ([{"id": "a", "model_type": True}], "must be an array of names (chat, "),
        ([{"id": "a", "context_length": 0}], "models[0].context_length"),
        ([{"id": "a", "id2label": {"0": 1}}], 'models[0].id2label: "0" must be a string'),
        ([{"id": "a", "metadata": "x" * 70_000}], "metadata: must have at most 65536 bytes"),
    ],
)  # fmt: skip
def test_cards(models: Any, words: str) -> None:
    assert words in refused(models=models)


def test_metadata_may_be_deep_but_not_too_deep() -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels - 1):
            value = [value]
        return value

    assert card(metadata=nested(MAX_DEPTH)).metadata
    assert "metadata: must have at most 32 levels" in refused(
        models=[{"id": "a", "metadata": nested(MAX_DEPTH + 1)}]
    )


def test_every_mistake_is_told_at_once() -> None:
    message = refusal(orjson.dumps({"priority": "x", "health": {"timeout_secs": "y", "a": 1}}))
    assert [part.split(":")[0] for part in message.split("; ")] == [
        "url",
        "priority",
        "health.timeout_secs",
    ]
    many = refused(models=[{"id": ""}] * 20)
    assert many.count("must not be empty") == 8
    assert many.endswith("; and 12 more")


# Keys


@pytest.mark.parametrize(
    "key", ["", "a b", SECRET + "\r\n", "schlüssel", SECRET * 1000, [SECRET], {"k": SECRET}, 5]
)
def test_a_key_that_cannot_be_sent(key: Any) -> None:
    for message in (refused(api_key=key), refused(api_key=key, priority="x")):
        assert "api_key: must be a string of 1 to 8192 printable ASCII characters" in message
        assert SECRET not in message
    with pytest.raises(AdminError) as caught:
        patch(api_key=key)
    assert SECRET not in str(caught.value)


def test_keys_are_not_shown() -> None:
    for value in (spec(api_key=SECRET), patch(api_key=SECRET)):
        assert value.api_key == SECRET
        assert SECRET not in repr(value)
        assert SECRET not in str(value)
    assert SECRET not in refused(api_key=SECRET, priority=-1)
    assert SECRET not in refusal(b'{"api_key":"' + SECRET.encode() + b'"')
