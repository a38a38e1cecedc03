"""Any JSON posted to the worker API gives a worker or one clear refusal, and nothing is lost."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from smg.core.errors import AdminError
from smg.workers.decode import put_body, worker_patch, worker_spec
from smg.workers.info import placeholder_info
from smg.workers.spec import (
    CONNECTION_MODES,
    MODEL_TYPES,
    RUNTIMES,
    WORKER_TYPES,
    HealthSpec,
    HttpPoolSpec,
    ModelCard,
    OverloadSpec,
    ResilienceSpec,
    WorkerSpec,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def keyed(kind: Any, *more: str) -> Any:
    """Objects with the right keys and any values."""
    names = st.sampled_from([*kind.__struct_fields__, *more])
    return st.dictionaries(names, json_values, max_size=6)


almost_workers = st.builds(
    lambda body, nested: {**body, **nested},
    keyed(WorkerSpec, "runtime", "model_id", "disable_health_check"),
    st.fixed_dictionaries(
        {},
        optional={
            "url": st.sampled_from(["http://h:1", "https://h/v1", "http://h:1@0"]),
            "models": st.lists(keyed(ModelCard), max_size=3),
            "health": keyed(HealthSpec),
            "http_pool": keyed(HttpPoolSpec),
            "resilience": keyed(ResilienceSpec),
            "overload": keyed(OverloadSpec),
        },
    ),
)


def refuses_or_decodes(raw: bytes) -> None:
    for decode in (worker_spec, worker_patch, put_body):
        try:
            found = decode(raw)
        except AdminError as error:
            refusal = error
        else:
            if isinstance(found, WorkerSpec):
                orjson.dumps(placeholder_info("id", found, None, failed=False))
            continue
        assert (refusal.status, refusal.code) == (400, "BAD_REQUEST")
        orjson.dumps(refusal.message)


@given(json_values | almost_workers)
def test_any_json(value: Any) -> None:
    refuses_or_decodes(orjson.dumps(value))


@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    refuses_or_decodes(raw)


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_characters="\x7f"),
    min_size=1,
    max_size=12,
).filter(lambda name: name.strip() and name != "unknown")
texts = names
u32 = st.integers(0, (1 << 32) - 1)
positive = st.integers(1, (1 << 32) - 1)
times = st.integers(0, 10_000) | st.floats(0, 10_000)
periods = st.integers(1, 10_000) | st.floats(0.001, 10_000)
codes = st.lists(st.integers(100, 599), unique=True, max_size=4)
flags = st.booleans()


def some(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def cards(draw: Any) -> list[dict[str, Any]]:
    words = draw(st.lists(names, unique=True, max_size=6))
    found = []
    while words:
        card = {"id": words.pop()}
        if len(words) > 1 and draw(flags):
            card["aliases"] = [words.pop()]
        card |= draw(
            some(
                display_name=texts,
                model_type=st.lists(st.sampled_from(MODEL_TYPES), unique=True, min_size=1),
                hf_model_type=texts,
                architectures=st.lists(texts, unique=True, min_size=1, max_size=2),
                root=texts,
                context_length=positive,
                tokenizer_path=texts,
                chat_template=texts,
                reasoning_parser=texts,
                tool_parser=texts,
                metadata=st.dictionaries(names, json_values, min_size=1, max_size=2),
                id2label=st.dictionaries(names, st.text(max_size=5), min_size=1, max_size=3),
                num_labels=u32,
            )
        )
        found.append(card)
    return found


workers = st.builds(
    lambda required, rest: {**required, **rest},
    st.fixed_dictionaries({"url": st.sampled_from(["http://h:1", "grpc://[::1]:5", "ipc://a"])}),
    some(
        models=cards(),
        worker_type=st.sampled_from(WORKER_TYPES),
        connection_mode=st.sampled_from(CONNECTION_MODES),
        runtime_type=st.sampled_from(RUNTIMES),
        labels=st.dictionaries(names, st.text(max_size=8), max_size=3),
        priority=u32,
        cost=st.floats(1e-9, 1e9),
        bootstrap_port=st.integers(1, 65535),
        dp_base_url=st.just("http://h:1"),
        dp_rank=st.integers(0, 7),
        dp_size=st.integers(8, 16),
        kv_connector=texts,
        kv_role=texts,
        kv_engine_id=texts,
        kv_block_size=positive,
        health=some(
            timeout_secs=periods,
            check_interval_secs=periods,
            success_threshold=positive,
            failure_threshold=positive,
            disable_health_check=flags,
            drain_settle_secs=times,
        ),
        http_pool=some(
            pool_max_idle_per_host=u32,
            pool_idle_timeout_secs=times,
            timeout_secs=periods,
            connect_timeout_secs=periods,
        ),
        resilience=some(
            max_retries=positive,
            initial_backoff_ms=st.integers(0, 1000),
            max_backoff_ms=st.integers(0, 1000),
            backoff_multiplier=st.floats(1, 10),
            jitter_factor=st.floats(0, 1),
            disable_retry=flags,
            cb_failure_threshold=positive,
            cb_success_threshold=positive,
            cb_timeout_secs=times,
            cb_window_secs=times,
            disable_circuit_breaker=flags,
            retryable_status_codes=codes,
            capacity_status_codes=codes,
        ),
        overload=some(waiting_requests=positive, token_usage=st.floats(0.001, 1)),
        max_connection_attempts=positive,
        load_monitor_interval_secs=periods,
        multimodal_tensor_transport=st.sampled_from(["inline", "shm", "auto", "rdma"]),
        multimodal_shm_min_bytes=u32,
        zmq_handshake_address=st.just("tcp://h:1"),
        api_key=st.just("sk-very-secret"),
    ),
)


@given(workers)
def test_an_answer_keeps_every_field_but_the_key(body: dict[str, Any]) -> None:
    spec = worker_spec(orjson.dumps(body))
    assert spec.api_key == body.pop("api_key", None)
    shown = placeholder_info("id", spec, None, failed=False)
    assert "sk-very-secret" not in str(shown)
    for key, given_value in body.items():
        if given_value in ({}, []):
            assert key not in shown
        elif key == "models":
            assert len(shown[key]) == len(given_value)
            for shown_card, card in zip(shown[key], given_value, strict=True):
                assert {name: shown_card[name] for name in card} == card
        else:
            assert shown[key] == given_value, key
    # And what is shown may be posted again.
    again = worker_spec(orjson.dumps(shown))
    assert placeholder_info("id", again, None, failed=False) == shown
