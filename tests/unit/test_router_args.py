"""`RouterArgs`, `launch_router` and `Router`: the public Python face (cli 12)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

import smg.app.main
from smg import router
from smg.config.args import ARGUMENTS
from smg.config.parse import Loaded, parse
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.launch_router import launch_router, parse_router_args
from smg.router_args import FIELD_ORDER, RouterArgs

# The public order; a change here breaks callers that pass arguments by position.
PUBLIC_START = (
    *("worker_urls", "host", "port", "health_check_port", "pd_disaggregation"),
    *("epd_disaggregation", "encode_urls", "prefill_urls", "decode_urls", "policy"),
    *("encode_policy", "prefill_policy", "decode_policy", "worker_startup_timeout_secs"),
    *("worker_startup_check_interval", "load_monitor_interval"),
)
PUBLIC_END = (
    *("routing_key_headers", "cache_boundaries", "cache_index", "cache_ttl_secs"),
    *("job_queue_capacity", "job_queue_concurrency", "worker_overload_waiting_requests"),
    *("worker_overload_token_usage", "worker_overload_protection", "disable_load_monitoring"),
)


def test_public_order() -> None:
    assert FIELD_ORDER[: len(PUBLIC_START)] == PUBLIC_START
    assert len(FIELD_ORDER) == len(set(FIELD_ORDER))
    last = FIELD_ORDER.index("disable_load_monitoring") + 1
    assert last == 154
    assert FIELD_ORDER[last - len(PUBLIC_END) : last] == PUBLIC_END


def test_every_flag_has_a_field_with_its_default() -> None:
    args = RouterArgs()
    extra = {"bootstrap_port_annotation", "worker_ports_annotation"}
    assert set(FIELD_ORDER) == set(ARGUMENTS) | extra
    # The reference's class differs from its command line in these.
    apart = {
        "prometheus_port": None,
        "prometheus_host": None,
        "log_level": None,
        "backend": "sglang",
    }
    for name, flag in ARGUMENTS.items():
        value = getattr(args, name)
        if name in apart:
            assert value == apart[name]
        elif isinstance(value, (list, dict)):
            assert tuple(value) == flag.default, name
        else:
            assert value == flag.default, name


def test_defaults_keep_metrics_on_loopback() -> None:
    assert RouterArgs().resolve({}).config == RouterConfig(prometheus_host="127.0.0.1")


FLAGS = [
    *("--worker-urls", "http://a:1", "http://b:2", "--port", "8000", "--policy", "random"),
    *("--request-id-headers", "X-Id", "--log-json", "--api-key", "k"),
    *("--prometheus-duration-buckets", "1", "2.5"),
]


def test_parse_router_args_means_what_launch_means() -> None:
    assert parse_router_args(FLAGS).resolve({}).config == parse(FLAGS, {}).config
    assert parse_router_args([]).resolve({}).config == RouterConfig()


@pytest.mark.parametrize("prefixed", [False, True])
def test_argparse_means_what_launch_means(prefixed: bool) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    RouterArgs.add_cli_args(parser, use_router_prefix=prefixed)
    argv = [f"--router-{t[2:]}" if prefixed and t.startswith("--") else t for t in FLAGS]
    args = RouterArgs.from_cli_args(parser.parse_args(argv), use_router_prefix=prefixed)
    assert args.worker_urls == ["http://a:1", "http://b:2"]
    assert args.resolve({}).config == parse(FLAGS, {}).config
    assert "--router-host" in parser.format_help() or not prefixed


def test_argparse_without_host_and_port() -> None:
    parser = argparse.ArgumentParser()
    RouterArgs.add_cli_args(parser, exclude_host_port=True)
    with pytest.raises(SystemExit):
        parser.parse_args(["--port", "1"])


def test_structured_arguments_through_argparse() -> None:
    parser = argparse.ArgumentParser()
    RouterArgs.add_cli_args(parser)
    argv = [
        *("--prefill", "http://p:1", "8998", "--prefill", "http://q:1", "none"),
        *("--decode", "http://d:1", "http://e:1", "--selector", "app=w env=p", "tier=x"),
        *("--model-alias", "x=a", "--jwt-role-mapping", "A=Admin"),
        *("--control-plane-api-keys", "i:n:admin:k:c", "--eviction-interval-secs", "7"),
    ]
    args = RouterArgs.from_cli_args(parser.parse_args(argv))
    assert args.prefill_urls == [("http://p:1", 8998), ("http://q:1", None)]
    assert args.decode_urls == ["http://d:1", "http://e:1"]
    assert args.selector == {"app": "w", "env": "p", "tier": "x"}
    assert args.model_aliases == {"x": "a"}
    assert args.jwt_role_mapping == {"A": "admin"}
    assert args.control_plane_api_keys == [("i", "n", "k:c", "admin")]
    assert args.eviction_interval_secs == 7
    assert args == parse_router_args(argv)


def test_missing_attributes_keep_their_defaults() -> None:
    args = RouterArgs.from_cli_args(argparse.Namespace(port=5))
    assert args == RouterArgs(
        port=5, prometheus_port=29000, prometheus_host="0.0.0.0", log_level="info"
    )


@pytest.mark.parametrize(
    ("reader", "good", "result", "bad"),
    [
        ("_parse_selector", ["a=b"], {"a": "b"}, ["a"]),
        ("_parse_prefill_urls", [["u", "1"], ["v"]], [("u", 1), ("v", None)], [["u", "x"]]),
        ("_parse_encode_urls", [["u", "NONE"]], [("u", None)], [["u", "1", "2"]]),
        ("_parse_decode_urls", [["u"], ["v"]], ["u", "v"], None),
        ("_parse_model_aliases", ["a=b", "a=b"], {"a": "b"}, ["a=b", "a=c"]),
        ("_parse_control_plane_api_keys", ["i:n:user:k"], [("i", "n", "k", "user")], ["i:n:k"]),
        ("_parse_jwt_role_mapping", ["a=USER"], {"a": "user"}, ["a=x"]),
    ],
)
def test_readers(reader: str, good: Any, result: Any, bad: Any) -> None:
    read = getattr(RouterArgs, reader)
    assert read(good) == result
    assert read(None) == read([]) == type(result)()
    if bad is not None:
        with pytest.raises(ValueError, match=r"must|two models"):
            read(bad)


def test_what_is_not_built_yet_and_wrong_types_are_refused() -> None:
    args = RouterArgs(
        ["http://a:1"],
        "127.0.0.1",
        "x",  # type: ignore[arg-type]
        enable_mesh=True,
        selector={"a": "b"},
        worker_ports_annotation="x",
    )
    with pytest.raises(ConfigError) as caught:
        args.resolve({})
    assert sorted(caught.value.problems) == [
        "--enable-mesh: not available yet (mesh)",
        "--port: must be an integer",
        "--selector: not available yet (service discovery)",
        "worker_ports_annotation: not available yet (service discovery)",
    ]


def test_secrets_stay_out_of_the_representation() -> None:
    args = RouterArgs(api_key="hush", control_plane_api_keys=[("i", "n", "hush", "user")])
    assert "hush" not in repr(args)


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), (["--version"], 0), (["--bogus"], 2)])
def test_parse_router_args_exits(argv: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_router_args(argv)
    assert caught.value.code == code


def test_launch_router(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RouterConfig] = []

    def run(config: RouterConfig, *, reload: Callable[[], Loaded]) -> int:
        assert reload().config == config
        seen.append(config)
        return len(seen) - 1

    monkeypatch.setattr(smg.app.main, "run", run, raising=False)
    monkeypatch.delenv("SMG_API_KEY", raising=False)
    launch_router(parse_router_args(["--port", "5"]))
    assert seen == [RouterConfig(port=5)]
    with pytest.raises(RuntimeError):
        launch_router(argparse.Namespace(port=6))
    with pytest.raises(ValueError, match=r"Configuration error: --port: must be at least 1"):
        launch_router(RouterArgs(port=0))


def test_names_to_enums() -> None:
    assert router.policy_from_str(None) is None
    assert router.policy_from_str("round_robin") is router.PolicyType.RoundRobin
    with pytest.raises(KeyError):
        router.policy_from_str("nope")
    assert router.backend_from_str(None) is router.BackendType.Sglang
    assert router.backend_from_str("VLLM") is router.BackendType.Vllm
    assert router.history_backend_from_str(None) is router.HistoryBackendType.Memory
    for convert in (router.backend_from_str, router.history_backend_from_str):
        with pytest.raises(ValueError, match="nope"):
            convert("nope")
