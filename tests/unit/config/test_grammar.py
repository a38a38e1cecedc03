"""The argument grammar (cli 3), over the real table and its `--router-` variant."""

from __future__ import annotations

from typing import Any

import pytest

from smg.config.flags import TABLE, options
from smg.config.grammar import UsageError, read_tokens


def read(*argv: str) -> dict[str, Any]:
    return read_tokens(argv, options()).values


def refusal(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*argv)
    return str(caught.value)


def test_lists_are_greedy_and_add_up() -> None:
    given = read(
        "--worker-urls", "http://a:1", "http://b:2", "--port", "1", "--worker-urls", "http://c:3"
    )
    assert given == {"worker_urls": ("http://a:1", "http://b:2", "http://c:3"), "port": 1}


def test_equals_form_takes_one_value_to_a_list() -> None:
    assert read("--worker-urls=http://a:1?x=y")["worker_urls"] == ("http://a:1?x=y",)
    assert refusal("--worker-urls=http://a:1", "http://b:2") == "unexpected argument 'http://b:2'"


def test_a_list_may_be_empty_but_a_repeated_item_not() -> None:
    assert read("--request-id-headers")["request_id_headers"] == ()
    assert refusal("--decode") == "--decode: needs a value"
    assert read("--decode", "a", "b", "--decode=c")["decode"] == ("a", "b", "c")


@pytest.mark.parametrize(
    "argv",
    [
        ("--port", "70000"),
        ("--port", "-1"),
        ("--port", "abc"),
        ("--port", "1_0"),
        ("--port", ""),
        ("--port",),
        ("--port", "--host", "h"),
        ("--policy", "nope"),
        ("--log-level", "trace"),
        ("--bogus",),
        ("--",),
        ("-x",),
        ("word",),
        ("--log-json=maybe",),
        ("--log-json", "true"),
        ("--cache-boundaries", "5,x"),
        ("--prometheus-duration-buckets", "1", "x"),
        ("--model-alias", "x=x"),
        ("--model-alias", "=a"),
        ("--model-alias", "x"),
        ("--model-id-from", "label:"),
        ("--model-id-from", "pod"),
        ("--jwt-role-mapping", "A=root"),
        ("--multimodal-tensor-transport", "pigeon"),
        ("--routing-key-headers", "a b"),
        ("--storage-context-headers", "x"),
        ("--eviction-interval-sec", "5"),
    ],
)
def test_usage_errors(argv: tuple[str, ...]) -> None:
    refusal(*argv)


def test_no_abbreviation_but_a_hint() -> None:
    assert refusal("--worker-url", "x") == "unknown flag --worker-url, did you mean --worker-urls?"


def test_switches() -> None:
    assert read("--log-json") == {"log_json": True}
    assert read("--log-json=false", "--disable-retries=TRUE") == {
        "log_json": False,
        "disable_retries": True,
    }


def test_negative_numbers_need_no_equals_sign() -> None:
    assert read("--max-concurrent-requests", "-1", "--redis-retention-days", "-1") == {
        "max_concurrent_requests": -1,
        "redis_retention_days": -1,
    }


def test_prefill_takes_a_port_or_none() -> None:
    given = read(
        *("--prefill", "http://p:1", "8998", "--prefill", "http://q:1", "NONE"),
        *("--prefill=http://r:1", "0", "--prefill", "http://s:1", "--decode", "http://d:1"),
    )
    assert given["prefill"] == (
        ("http://p:1", 8998),
        ("http://q:1", None),
        ("http://r:1", 0),
        ("http://s:1", None),
    )


@pytest.mark.parametrize("rest", [("http://p:1", "99999"), ("http://p:1", "abc"), ()])
def test_prefill_refuses_what_is_no_port(rest: tuple[str, ...]) -> None:
    refusal("--prefill", *rest)


def test_structured_items() -> None:
    given = read(
        *("--control-plane-api-keys", "a:n:ADMIN:k:with:colons", "b:m:user:x"),
        *("--jwt-role-mapping", "A=admin", "B=User", "--model-id-from", "NAMESPACE"),
        *("--multimodal-tensor-transport", " SHM ", "--cache-boundaries", "2048,,8192"),
        *("--storage-context-headers", "x-a=1 x-b=2=3"),
    )
    assert given["control_plane_api_keys"] == (
        ("a", "n", "k:with:colons", "admin"),
        ("b", "m", "x", "user"),
    )
    assert given["jwt_role_mapping"] == (("A", "admin"), ("B", "user"))
    assert given["model_id_from"] == "namespace"
    assert given["multimodal_tensor_transport"] == "shm"
    assert given["cache_boundaries"] == [2048, 8192]
    assert given["storage_context_headers"] == ([("x-a", "1"), ("x-b", "2=3")],)


@pytest.mark.parametrize(
    "argv",
    [
        ("--control-plane-api-keys", "id:n:root:hush"),
        ("--control-plane-api-keys", "hush"),
        ("--api-key", "my", "hush"),
    ],
)
def test_secrets_are_never_repeated(argv: tuple[str, ...]) -> None:
    assert "hush" not in refusal(*argv)


def test_serve_keeps_foreign_tokens_in_order() -> None:
    table = options("router-", exclude=("host", "port"))
    argv = [
        *("--model", "m", "--router-policy", "random", "--tp", "-1", "--host", "h"),
        *("--router-worker-urls", "http://a:1", "--", "--router-policy", "x"),
    ]
    given = read_tokens(argv, table, keep_unknown=True)
    assert given.values == {"policy": "random", "worker_urls": ("http://a:1",)}
    assert given.rest == ["--model", "m", "--tp", "-1", "--host", "h", "--router-policy", "x"]


def test_peer_selector_has_the_doubled_name_in_serve() -> None:
    table = options("router-")
    assert table["--router-selector"].name == "selector"
    assert table["--router-router-selector"].name == "router-selector"


def test_names_are_unique() -> None:
    names = [name for flag in TABLE for name in flag.names]
    assert len(names) == len(set(names))


def test_every_row_is_complete() -> None:
    for flag in TABLE:
        assert flag.help.endswith("."), flag.name
        assert flag.tag in ("seed", "beyond"), flag.name
        if flag.kind.is_switch:
            assert flag.default is False, flag.name
        if flag.kind.is_list:
            assert isinstance(flag.default, tuple), flag.name
