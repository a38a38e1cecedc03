"""Merging, availability, validation: a command line becomes `RouterConfig` or every problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from smg.config.flags import TABLE, default
from smg.config.flags.policy import AVAILABLE_POLICIES, LATER_POLICIES
from smg.config.flags.row import Flag
from smg.config.grammar import UsageError
from smg.config.kinds import Float
from smg.config.parse import Loaded, parse, resolve
from smg.config.settings import RouterConfig
from smg.config.validate import idle_reason
from smg.core.errors import ConfigError


def load(*argv: str, **environ: str) -> Loaded:
    return parse(argv, environ)


def problems(*argv: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(argv, environ)
    return caught.value.problems


def test_defaults_come_from_the_table() -> None:
    config = load().config
    assert config == RouterConfig()
    assert (config.host, config.port, config.policy) == ("0.0.0.0", 30000, "cache_aware")
    assert len(config.prometheus_duration_buckets) == 29


def test_one_field_per_available_flag() -> None:
    fields = {field.name for field in dataclasses.fields(RouterConfig)}
    assert fields == {flag.field for flag in TABLE if flag.available}
    assert all(
        getattr(RouterConfig(), flag.field) == flag.default for flag in TABLE if flag.available
    )


def test_every_problem_is_reported_and_starts_with_its_flag() -> None:
    found = problems(
        "--port", "0", "--enable-mesh", "--worker-urls", "a:8000", "--policy", "bucket"
    )
    assert [line.split(":")[0] for line in found] == [
        "--enable-mesh",
        "--policy",
        "--port",
        "--worker-urls",
    ]


@pytest.mark.parametrize(
    ("argv", "feature"),
    [
        (["--cache-index", "hash"], "event and hash indexes"),
        (["--service-discovery", "--selector", "app=w env=p"], "service discovery"),
        (["--selector", "app in (a, b)"], "service discovery"),
        (["--jwt-issuer", "X"], "JWT for the control plane"),
        (["--tls-cert-path", "c"], "TLS"),
        (["--redis-retention-days", "-1"], "history storage"),
        (["--sse-keepalive-early"], "early keep-alive"),
        (["--backend", "openai"], "external providers"),
        (["--worker-urls", "http://a:1", "grpc://b:2"], "gRPC mode"),
        (["--worker-urls", "ipc:///run/x"], "ZMQ workers"),
        (["--cross-region-enabled"], "cross-region routing"),
    ],
)
def test_what_is_not_built_yet_says_so(argv: Sequence[str], feature: str) -> None:
    found = problems(*argv)
    assert all("not available yet (" in line for line in found), found
    assert any(f"({feature})" in line for line in found), found
    assert "hush" not in "".join(found)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--retry-max-retries", "0"], "--retry-max-retries"),
        (["--retry-max-backoff-ms", "1"], "must not be below --retry-initial-backoff-ms"),
        (["--retry-jitter-factor", "2"], "--retry-jitter-factor"),
        (["--cb-failure-threshold", "0"], "--cb-failure-threshold"),
        (["--max-concurrent-requests", "1", "--queue-timeout-secs", "0"], "while there is a queue"),
    ],
)
def test_limits_that_cannot_be(argv: Sequence[str], text: str) -> None:
    (line,) = problems(*argv)
    assert text in line


@pytest.mark.parametrize(
    "argv",
    [
        ["--disable-retries", "--retry-max-backoff-ms", "1"],
        ["--max-concurrent-requests", "-1", "--queue-timeout-secs", "0"],
        ["--max-concurrent-requests", "1", "--queue-size", "0", "--queue-timeout-secs", "0"],
    ],
)
def test_limits_that_are_off_are_not_checked(argv: Sequence[str]) -> None:
    load(*argv)


@pytest.mark.parametrize("urls", [(), ("http://a:1",), ("http://a:1", "http://a:1")])
def test_power_of_two_needs_two_workers(urls: tuple[str, ...]) -> None:
    (line,) = problems("--policy", "power_of_two", *(["--worker-urls", *urls] if urls else []))
    assert line == "--policy: power_of_two needs two workers or more, or --enable-igw"
    later = ["--enable-igw", "--worker-urls", *urls]
    assert load("--policy", "power_of_two", *later).config.worker_urls == tuple(dict.fromkeys(urls))
    two = ["--worker-urls", "http://a:1", "http://b:1"]
    assert load("--policy", "power_of_two", *two).config.policy == "power_of_two"


def test_load_aware_flags() -> None:
    config = load(
        *("--policy", "least_load", "--least-load-kv-pressure-weight", "0.5"),
        *("--least-load-max-waiting-requests", "8", "--load-monitor-interval", "2"),
        "--engine-metrics",
    ).config
    assert (config.least_load_kv_pressure_weight, config.least_load_default_throughput) == (
        0.5,
        2000.0,
    )
    assert (config.least_load_mean_prefill_tokens, config.least_load_max_waiting_requests) == (
        1024,
        8,
    )
    assert (config.load_monitor_interval, config.engine_metrics) == (2, True)
    (line,) = load("--policy", "random", "--least-load-default-throughput", "900").warnings
    assert line == "--least-load-default-throughput: has no effect with --policy random"
    (line,) = problems("--load-monitor-interval", "0")
    assert line.startswith("--load-monitor-interval: must be at least 1")
    (line,) = problems("--least-load-default-throughput", "0", "--policy", "least_load")
    assert line.startswith("--least-load-default-throughput: must be at least 1")


def test_accepted_without_effect_because_they_already_hold() -> None:
    config = load(
        "--disable-retries", "--disable-circuit-breaker", "--disable-load-monitoring"
    ).config
    assert config.disable_retries
    assert config.disable_circuit_breaker


@pytest.mark.parametrize("backend", ["sglang", "vllm", "trtllm", "tokenspeed"])
def test_backend_hint(backend: str) -> None:
    assert load("--runtime", backend).config.mode_name == f"Regular ({backend})"


@pytest.mark.parametrize(
    "url",
    [
        *("http://a:1", "https://a", "http://a:1/v1/", "http://[::1]:8000", "http://10.0.0.1:1"),
        *("http://my_pod.ns.svc:80", "http://a-b"),
    ],
)
def test_worker_urls_taken(url: str) -> None:
    assert load("--worker-urls", url).config.worker_urls == (url,)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a:8000",
            "HTTP://a:1",
            "tcp://x",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:",
        ),
        *(
            "http://a:99999",
            "http://a:x",
            "http://[::1",
            "http://[x]:1",
            "http://[::1]x:1",
            "http://a b",
            "http://ä",
        ),
        *("http://a/\r\nx", "http://a?x=1", "http://a#x", "http:a", "http:///x", "http://a,b"),
    ],
)
def test_worker_urls_refused(url: str) -> None:
    (line,) = problems("--worker-urls", url)
    assert line.startswith("--worker-urls: ")


def test_scheme_hints() -> None:
    assert "http://a:8000" in problems("--worker-urls", "a:8000")[0]
    assert "lower case" in problems("--worker-urls", "HTTP://a:1")[0]


def test_password_in_a_worker_url_is_not_repeated() -> None:
    assert "hush" not in problems("--worker-urls", "http://me:hush@a:1", "me:hush@b")[0]


def test_a_repeated_worker_counts_once_with_a_warning() -> None:
    loaded = load("--worker-urls", "http://a:1", "http://b:1", "http://a:1")
    assert loaded.config.worker_urls == ("http://a:1", "http://b:1")
    assert loaded.warnings == ("--worker-urls: http://a:1 is given more than once; it counts once",)


@pytest.mark.parametrize(
    ("host", "bare", "listening"),
    [
        ("::1", "::1", "[::1]:30000"),
        ("[::1]", "::1", "[::1]:30000"),
        ("localhost", "localhost", "localhost:30000"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:30000"),
    ],
)
def test_hosts_taken(host: str, bare: str, listening: str) -> None:
    config = load("--host", host).config
    assert config.bind_host == bare
    assert config.listening == listening


@pytest.mark.parametrize("host", ["", "nosuch.invalid", "[127.0.0.1]", "a b", "http://x", "[x]"])
@pytest.mark.parametrize("flag", ["--host", "--prometheus-host"])
def test_hosts_refused(flag: str, host: str) -> None:
    (line,) = problems(flag, host)
    assert line.startswith(f"{flag}: ")


@pytest.mark.parametrize(
    "argv",
    [
        ["--port", "0"],
        ["--request-timeout-secs", "0"],
        ["--max-payload-size", "0"],
        ["--worker-startup-timeout-secs", "0"],
        ["--worker-startup-check-interval", "0"],
        ["--worker-startup-delay", "-1"],
        ["--health-failure-threshold", "0"],
        ["--health-success-threshold", "0"],
        ["--health-check-timeout-secs", "0"],
        ["--health-check-interval-secs", "0"],
        ["--health-check-endpoint", "health"],
        ["--health-check-endpoint", "/he alth"],
        ["--request-timeout-secs", "9999999999"],
        ["--shutdown-grace-period-secs", "-1"],
        ["--prometheus-port", "30000"],
        ["--prometheus-duration-buckets"],
        ["--prometheus-duration-buckets", "2", "1"],
        ["--prometheus-duration-buckets", "1", "1"],
        ["--prometheus-duration-buckets", "1", "inf"],
        ["--prometheus-duration-buckets", "nan"],
        ["--request-id-headers", "x id"],
        ["--request-id-headers", ""],
        ["--forward-request-headers", "Transfer-Encoding"],
        ["--cors-allowed-origins", "*", "https://a"],
        ["--cors-allowed-origins", "https://a/"],
        ["--cors-allowed-origins", "a.example.com"],
        ["--cors-allowed-origins", "https://"],
        ["--cors-allowed-origins", "null"],
        ["--api-key", ""],
        ["--api-key", "a b"],
        ["--log-dir", ""],
    ],
)
def test_rules(argv: list[str]) -> None:
    (line,) = problems(*argv)
    assert line.startswith(f"{argv[0]}: ")


def test_zero_where_it_means_off_or_ephemeral() -> None:
    flags = [
        *("--prometheus-port", "--shutdown-grace-period-secs", "--header-read-timeout-secs"),
        *("--idle-connection-timeout-secs", "--upstream-first-byte-timeout-secs"),
        *("--upstream-pool-idle-timeout-secs", "--sse-keepalive-secs"),
    ]
    load(*(token for flag in flags for token in (flag, "0")))


def test_lists_and_header_names() -> None:
    config = load(
        *("--request-id-headers", "X-My-Id", "--forward-request-headers", "X-Tenant"),
        *("--cors-allowed-origins", "https://a", "http://localhost:3000"),
        *("--prometheus-duration-buckets", "0.5", "1"),
    ).config
    assert config.request_id_headers == ("x-my-id",)
    assert config.forward_request_headers == ("x-tenant",)
    assert config.cors_allowed_origins == ("https://a", "http://localhost:3000")
    assert config.prometheus_duration_buckets == (0.5, 1.0)
    assert load("--cors-allowed-origins", "*").config.cors_allowed_origins == ("*",)


def test_environment() -> None:
    assert load(SMG_API_KEY="from-env").config.api_key == "from-env"
    assert load(SMG_API_KEY="").config.api_key is None
    assert load("--api-key", "flag", SMG_API_KEY="from-env").config.api_key == "flag"
    assert problems(SMG_API_KEY="hush hush") == [
        "--api-key (from SMG_API_KEY): must be visible ASCII characters without blanks"
    ]


def test_environment_of_unavailable_flags_is_left_alone() -> None:
    load(ATP_POOL_MIN="abc", REDIS_URL="redis://x", JWT_ISSUER="junk")


def test_the_key_stays_out_of_the_representation() -> None:
    loaded = load("--api-key", "hush")
    assert loaded.config.api_key == "hush"
    assert "hush" not in repr(loaded)


def test_idle_flags_warn() -> None:
    flag = Flag(name="x", kind=Float(), help="", group="", idle_with="disable-retries")
    assert idle_reason(flag, RouterConfig(disable_retries=True)) == (
        "has no effect with --disable-retries"
    )
    assert idle_reason(flag, RouterConfig()) is None


def test_health_settings_are_for_workers_that_turn_checks_on_too() -> None:
    loaded = load("--disable-health-check", "--health-check-interval-secs", "5")
    assert loaded.warnings == ()


def test_policy_flags_warn() -> None:
    assert load("--policy", "random", "--cache-threshold", "0.5").warnings == (
        "--cache-threshold: has no effect with --policy random",
    )


def test_the_probe_port() -> None:
    assert load().config.health_check_port is None
    assert load("--health-check-port", "8081").config.health_check_port == 8081
    assert problems("--health-check-port", "0") == ["--health-check-port: must be at least 1"]
    assert problems("--health-check-port", "30000") == [
        "--health-check-port: must differ from --port, both are 30000"
    ]
    assert problems("--health-check-port", "29000", "--prometheus-port", "29000") == [
        "--health-check-port: must differ from --prometheus-port, both are 29000"
    ]


def test_removing_unhealthy_workers_has_two_names() -> None:
    assert not load().config.remove_unhealthy_workers
    for name in ("--remove-unhealthy-workers", "--worker-auto-recovery"):
        assert load(name).config.remove_unhealthy_workers


def test_policy_flags_warn_under_another_policy() -> None:
    flag = Flag(name="x", kind=Float(), help="", group="", policies=("random",))
    assert idle_reason(flag, RouterConfig()) == "has no effect with --policy cache_aware"
    assert idle_reason(flag, RouterConfig(policy="random")) is None


def test_all_ten_policies_are_known() -> None:
    assert len({*AVAILABLE_POLICIES, *LATER_POLICIES}) == 10
    (line,) = problems("--policy", "bucket")
    assert line.startswith(
        "--policy: bucket is not available yet (only as prefill policy of PD disaggregation)"
    )


def test_cache_flags() -> None:
    config = load(
        *("--cache-match-threshold", "0.5", "--spill-abs-threshold", "8"),
        *("--spill-rel-threshold", "2", "--eviction-interval", "30"),
        *("--max-tree-size", "1000", "--block-size", "32", "--explain-routing"),
    ).config
    assert (config.cache_threshold, config.balance_abs_threshold) == (0.5, 8)
    assert (config.balance_rel_threshold, config.eviction_interval) == (2.0, 30)
    assert (config.max_tree_size, config.block_size, config.explain_routing) == (1000, 32, True)
    assert problems("--cache-threshold", "1.5") == ["--cache-threshold: must be at most 1"]
    assert problems("--max-tree-size", "0") == ["--max-tree-size: must be at least 1"]


@pytest.mark.parametrize("name", ["my.package:Nearest", "nearest:Nearest"])
def test_a_policy_may_be_a_class(name: str) -> None:
    assert load("--policy", name).config.policy == name


@pytest.mark.parametrize("name", ["nearest", "my.package", "a:b:c", ":Nearest", "my package:X"])
def test_other_policy_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"cache_aware.*module:Class"):
        load("--policy", name)


def test_sticky_and_hash_flags() -> None:
    config = load(
        *("--policy", "prefix_hash", "--prefix-token-count", "64"),
        *("--prefix-hash-load-factor", "2", "--prefix-hash-balance-abs-threshold", "0"),
        *("--cache-boundaries", "256,1024", "--routing-key-override"),
        *("--assignment-mode", "min_group", "--sticky-key-idle-secs", "0"),
        *("--routing-key-headers", "X-Session", "x-smg-routing-key"),
    ).config
    assert (config.prefix_token_count, config.prefix_hash_load_factor) == (64, 2.0)
    assert config.prefix_hash_balance_abs_threshold == 0
    assert list(config.cache_boundaries) == [256, 1024]
    assert config.routing_key_override
    assert (config.assignment_mode, config.max_idle_secs) == ("min_group", 0)
    assert config.routing_key_headers == ("x-session", "x-smg-routing-key")


@pytest.mark.parametrize("boundaries", ["0", "-1,2", "8192,2048", "5,5"])
def test_boundaries_ascend(boundaries: str) -> None:
    (line,) = problems("--policy", "prefix_hash", f"--cache-boundaries={boundaries}")
    assert line == "--cache-boundaries: must be above 0 and strictly ascending"


def test_the_default_policy() -> None:
    assert default("policy") == "cache_aware"


def test_problems_name_flags_as_typed_in_serve() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"port": 0, "max_payload_size": 0, "enable_mesh": True}, {}, prefix="router-")
    assert sorted(line.split(":")[0] for line in caught.value.problems) == [
        "--port",
        "--router-enable-mesh",
        "--router-max-payload-size",
    ]


def test_config_is_frozen() -> None:
    config: Any = RouterConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 1


PAIR = ("--pd-disaggregation", "--prefill", "http://p:1", "--decode", "http://d:1")


def test_pairs() -> None:
    config = load(
        *("--pd-disaggregation", "--prefill", "http://p:1", "8998", "--prefill", "http://q:1"),
        *("NONE", "--decode", "http://d:1", "--decode=http://e:1", "--policy", "random"),
        *("--prefill-policy", "bucket"),
    ).config
    assert config.prefill == (("http://p:1", 8998), ("http://q:1", None))
    assert config.decode == ("http://d:1", "http://e:1")
    assert config.role_policies == {"prefill": "bucket", "decode": "random"}
    assert config.mode_name == "Prefill/decode"
    assert load("--pd-disaggregation").config.prefill == ()


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("--prefill", "http://x:1", "0"), "--prefill: bootstrap port must be 1-65535"),
        (("--prefill", "x:1"), "--prefill: x:1: must start with a scheme, as http://x:1"),
        (("--decode", "grpc://x:1"), "--decode: grpc://x:1: not available yet (gRPC mode)"),
        (("--decode", "http://p:1"), "--decode: http://p:1: is a prefill worker already"),
        (("--decode-policy", "bucket"), "--decode-policy: bucket is for prefill only"),
        (
            ("--prefill-policy", "power_of_two"),
            "--prefill-policy: power_of_two needs two prefill workers or more, or --enable-igw",
        ),
        (
            ("--decode-policy", "power_of_two"),
            "--decode-policy: power_of_two needs two decode workers or more, or --enable-igw",
        ),
    ],
)
def test_pairs_that_cannot_be(argv: tuple[str, ...], problem: str) -> None:
    assert problems(*PAIR, *argv) == [problem]


SLOTS = ("--prefill-max-inflight-requests-per-worker", "4")


def test_a_limit_for_prefill() -> None:
    config = load(*PAIR, *SLOTS).config
    assert config.prefill_max_inflight_requests_per_worker == 4
    assert config.prefill_queue_size is config.prefill_queue_timeout_secs is None
    load(*PAIR, *SLOTS, "--prefill-queue-size", "0", "--prefill-queue-timeout-secs", "0")
    for off in ("-1", "0"):
        load(*PAIR, SLOTS[0], off)
        load(SLOTS[0], off)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ((*PAIR, "--prefill-queue-size", "5"), f"--prefill-queue-size: needs {SLOTS[0]} above 0"),
        (
            (*PAIR, "--prefill-queue-timeout-secs", "5"),
            f"--prefill-queue-timeout-secs: needs {SLOTS[0]} above 0",
        ),
        (SLOTS, f"{SLOTS[0]}: needs --pd-disaggregation"),
        (
            (*PAIR, *SLOTS, "--priority-scheduler-enabled"),
            f"{SLOTS[0]}: cannot be combined with --priority-scheduler-enabled",
        ),
        (
            (*PAIR, *SLOTS, "--prefill-queue-timeout-secs", "0"),
            "--prefill-queue-timeout-secs: must be above 0 while there is a queue",
        ),
        ((*PAIR, *SLOTS, "--prefill-queue-size", "-1"), "--prefill-queue-size: must be at least 0"),
    ],
)
def test_limits_for_prefill_that_cannot_be(argv: tuple[str, ...], problem: str) -> None:
    assert problems(*argv) == [problem]


def test_power_of_two_counts_both_roles() -> None:
    assert load(*PAIR, "--policy", "power_of_two").config.policy == "power_of_two"
    (line,) = problems(*PAIR[:3], "--policy", "power_of_two")
    assert line.startswith("--policy: power_of_two needs two workers")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (PAIR[1:], "--prefill: has no effect without --pd-disaggregation"),
        (PAIR[3:], "--decode: has no effect without --pd-disaggregation"),
        (
            ("--decode-policy", "random"),
            "--decode-policy: has no effect without --pd-disaggregation",
        ),
        (
            (*PAIR, "--worker-urls", "http://w:1"),
            "--worker-urls: has no effect with --pd-disaggregation",
        ),
    ],
)
def test_settings_of_another_mode_are_usage_errors(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(*argv)
    assert str(caught.value) == message


def test_a_policy_that_no_role_uses_warns() -> None:
    roles = ("--prefill-policy", "random", "--decode-policy", "round_robin")
    (warning,) = load(*PAIR, "--policy", "least_load", *roles).warnings
    assert warning == "--policy: has no effect: --prefill-policy and --decode-policy are both given"
