"""Rules across settings: everything that must hold before the gateway starts (cli 6).

`problems` collects every violation, `warnings` what is probably not meant. Each line starts with
its flag. Ranges of single values come from the flag table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

from smg.config.addresses import (
    LATER_SCHEMES,
    collector_problem,
    host_problem,
    origin_problem,
    worker_url_problem,
)
from smg.config.flags import BY_FIELD, TABLE
from smg.config.flags.row import Flag
from smg.config.items import KEY_RULE, is_header_name, is_key
from smg.config.settings import RouterConfig

# Where a value came from, for messages: field name to "--flag", or "--flag (in FILE)".
Label = Callable[[str], str]

# Headers of one connection: the gateway writes its own; passing the client's on breaks framing.
NOT_FORWARDED = frozenset(
    (
        *("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
        *("proxy-authenticate", "proxy-authorization", "proxy-connection", "upgrade"),
        "transfer-encoding",
    )
)

UNKNOWN_MODEL = "unknown"

_PATH = re.compile(r"/[!-~]*")
#: a shorter key can be guessed
SHORT_KEY = 8


def flag_label(field: str) -> str:
    """The flag of a field, as typed."""
    return f"--{BY_FIELD[field].name}"


def problems(config: RouterConfig, label: Label = flag_label) -> list[str]:
    """Every rule the configuration breaks."""
    return [
        f"{label(field)}: {text}"
        for rule in (
            _ranges,
            _listeners,
            _workers,
            _pairs,
            _prefill_slots,
            _policy,
            _aliases,
            _boundaries,
            _retries,
            _queue,
            _overload,
            _tenants,
            _headers,
            _paths,
            _keys,
            _origins,
            _buckets,
            _traces,
        )
        for field, text in rule(config)
    ]


def warnings(config: RouterConfig, given: Collection[str], label: Label = flag_label) -> list[str]:
    """Settings in `given` (field names) that have no effect beside the others, and weak keys."""
    idle = [
        f"{label(flag.field)}: {reason}"
        for flag in TABLE
        if flag.field in given and (reason := idle_reason(flag, config))
    ]
    return idle + [f"{label(field)}: {text}" for field, text in _short_keys(config)]


def misplaced(
    config: RouterConfig, given: Collection[str], label: Label = flag_label
) -> str | None:
    """The first setting in `given` (field names) that belongs to another mode: a usage error."""
    for field in ("prefill", "decode", "prefill_policy", "decode_policy"):
        if field in given and not config.pd_disaggregation:
            return f"{label(field)}: has no effect without --pd-disaggregation"
    if config.pd_disaggregation and "worker_urls" in given and config.worker_urls:
        return f"{label('worker_urls')}: has no effect with --pd-disaggregation"
    return None


def idle_reason(flag: Flag, config: RouterConfig) -> str | None:
    """Why the flag changes nothing under this configuration, or None."""
    in_use = config.role_policies
    if flag.policies and not any(policy in flag.policies for policy in in_use.values()):
        return f"has no effect with --policy {', '.join(dict.fromkeys(in_use.values()))}"
    if flag.field == "policy" and config.pd_disaggregation and config.policy not in in_use.values():
        return "has no effect: --prefill-policy and --decode-policy are both given"
    if flag.idle_with and getattr(config, flag.idle_with.replace("-", "_")):
        return f"has no effect with --{flag.idle_with}"
    return None


Findings = Iterator[tuple[str, str]]


def _ranges(config: RouterConfig) -> Findings:
    for flag in TABLE:
        if not flag.available:
            continue
        value = getattr(config, flag.field)
        if value is not None and (text := flag.kind.problem(value)):
            yield flag.field, text


def _listeners(config: RouterConfig) -> Findings:
    for field in ("host", "prometheus_host"):
        if text := host_problem(getattr(config, field)):
            yield field, text
    # 0 is chosen by the system, so two of them differ.
    if config.port == config.prometheus_port != 0:
        yield "prometheus_port", f"must differ from --port, both are {config.port}"
    for field in ("port", "prometheus_port"):
        if getattr(config, field) == config.health_check_port != 0:
            other = BY_FIELD[field].name
            yield (
                "health_check_port",
                f"must differ from --{other}, both are {config.health_check_port}",
            )


def _workers(config: RouterConfig) -> Findings:
    for url in config.worker_urls:
        if text := worker_url_problem(url):
            yield "worker_urls", text
        elif feature := LATER_SCHEMES.get(url.partition(":")[0]):
            yield "worker_urls", f"{url}: not available yet ({feature})"


def _pairs(config: RouterConfig) -> Findings:
    """Workers and policies of prefill and decode."""
    prefill = {url for url, _ in config.prefill}
    for field, urls in (("prefill", prefill), ("decode", set(config.decode))):
        for url in sorted(urls):
            if text := worker_url_problem(url):
                yield field, text
            elif feature := LATER_SCHEMES.get(url.partition(":")[0]):
                yield field, f"{url}: not available yet ({feature})"
        policy = getattr(config, f"{field}_policy")
        if policy == "power_of_two" and len(urls) < 2 and not config.enable_igw:
            yield (
                f"{field}_policy",
                f"power_of_two needs two {field} workers or more, or --enable-igw",
            )
    for url in sorted(prefill & set(config.decode)):
        yield "decode", f"{url}: is a prefill worker already"
    if config.decode_policy == "bucket":
        yield "decode_policy", "bucket is for prefill only"


def _prefill_slots(config: RouterConfig) -> Findings:
    """The limit of requests at a prefill worker, and the queue before it."""
    limit, size = "prefill_max_inflight_requests_per_worker", "prefill_queue_size"
    timeout = "prefill_queue_timeout_secs"
    if getattr(config, limit) <= 0:
        for field in (size, timeout):
            if getattr(config, field) is not None:
                yield field, f"needs {flag_label(limit)} above 0"
        return
    if not config.pd_disaggregation:
        yield limit, "needs --pd-disaggregation"
    if config.priority_scheduler_enabled:
        # Behind the classes stands a row without any: the urgent would wait for the patient.
        yield limit, "cannot be combined with --priority-scheduler-enabled"
    if config.prefill_queue_timeout_secs == 0 and config.prefill_queue_size != 0:
        yield timeout, "must be above 0 while there is a queue"


def _policy(config: RouterConfig) -> Findings:
    # A worker that is given twice counts once. In IGW mode the fleet is expected to come later.
    workers = {*config.worker_urls, *config.decode, *(url for url, _ in config.prefill)}
    few = len(workers) < 2 and not config.enable_igw
    if config.policy == "power_of_two" and few and "power_of_two" in config.role_policies.values():
        yield "policy", "power_of_two needs two workers or more, or --enable-igw"


def _aliases(config: RouterConfig) -> Findings:
    models: dict[str, str] = {}
    for alias, model in config.model_alias:
        if UNKNOWN_MODEL in (alias, model):
            yield "model_alias", f"{alias}={model}: {UNKNOWN_MODEL} stands for any model"
        elif models.setdefault(alias, model) != model:
            yield "model_alias", f"{alias} is given for two models, {models[alias]} and {model}"


def _retries(config: RouterConfig) -> Findings:
    if not config.disable_retries and (
        config.retry_max_backoff_ms < config.retry_initial_backoff_ms
    ):
        yield "retry_max_backoff_ms", "must not be below --retry-initial-backoff-ms"


def _queue(config: RouterConfig) -> Findings:
    if config.max_concurrent_requests > 0 and config.queue_size and not config.queue_timeout_secs:
        yield "queue_timeout_secs", "must be above 0 while there is a queue"


def _overload(config: RouterConfig) -> Findings:
    if config.worker_overload_token_usage == 0:
        yield "worker_overload_token_usage", "must be above 0, or every worker is left out"


def _tenants(config: RouterConfig) -> Findings:
    if config.tenant_rate_limit_enabled and not config.tenant_rate_limit_config:
        yield "tenant_rate_limit_enabled", "needs --tenant-rate-limit-config"


def _boundaries(config: RouterConfig) -> Findings:
    if any(low >= high for low, high in pairwise((0, *config.cache_boundaries))):
        yield "cache_boundaries", "must be above 0 and strictly ascending"


def _headers(config: RouterConfig) -> Findings:
    for field in ("request_id_headers", "forward_request_headers"):
        for name in getattr(config, field):
            if not is_header_name(name):
                yield field, f"{name!r} is not an HTTP header name"
    for name in config.forward_request_headers:
        if name.lower() in NOT_FORWARDED:
            yield (
                "forward_request_headers",
                f"{name} belongs to one connection and is never passed on",
            )


def _paths(config: RouterConfig) -> Findings:
    if not _PATH.fullmatch(config.health_check_endpoint):
        yield "health_check_endpoint", "must be a path that starts with /"
    if config.log_dir == "":
        yield "log_dir", "must not be empty"


def _keys(config: RouterConfig) -> Findings:
    # An empty or unsendable key must not leave the gateway open or locked; the text never shows it.
    if config.api_key is not None and not is_key(config.api_key):
        yield "api_key", f"must be {KEY_RULE}"
    # Entries are named by their place: an id may be a key that was put in the wrong column.
    owners: dict[str, str] = {}
    for field, name, key in _all_keys(config):
        if key and owners.setdefault(key, name) != name:
            yield field, f"{name} has the same key as {owners[key]}"
    ids: dict[str, int] = {}
    for number, (identity, *_) in enumerate(config.control_plane_api_keys, 1):
        if ids.setdefault(identity, number) != number:
            yield "control_plane_api_keys", f"entries {ids[identity]} and {number} have the same id"


def _all_keys(config: RouterConfig) -> Iterator[tuple[str, str, str]]:
    """Field, name for people, and key. Keys of entries that are malformed may be empty."""
    if config.api_key is not None:
        yield "api_key", "--api-key", config.api_key
    for number, entry in enumerate(config.tenant_api_key, 1):
        yield "tenant_api_key", f"tenant key {number}", entry.partition(":")[2]
    for number, (_, _, key, _) in enumerate(config.control_plane_api_keys, 1):
        yield "control_plane_api_keys", f"control-plane key {number}", key


def _short_keys(config: RouterConfig) -> Findings:
    for field, name, key in _all_keys(config):
        if len(key) < SHORT_KEY:
            which = "is" if field == "api_key" else f"{name} is"
            yield field, f"{which} shorter than {SHORT_KEY} characters and can be guessed"


def _origins(config: RouterConfig) -> Findings:
    if config.cors_allowed_origins == ("*",):
        return
    for origin in config.cors_allowed_origins:
        if origin == "*":
            yield "cors_allowed_origins", "* must be the only item"
        elif text := origin_problem(origin):
            yield "cors_allowed_origins", text


def _buckets(config: RouterConfig) -> Findings:
    buckets = config.prometheus_duration_buckets
    if not buckets:
        yield "prometheus_duration_buckets", "needs at least one bound"
    elif any(low >= high for low, high in pairwise(buckets)):
        yield "prometheus_duration_buckets", "must be strictly ascending"


def _traces(config: RouterConfig) -> Findings:
    if not config.enable_trace:
        return
    if text := collector_problem(config.otlp_traces_endpoint):
        yield "otlp_traces_endpoint", text
    # Looked for, not loaded: `smg check` and a gateway that does not start need none of it.
    if _missing("opentelemetry.sdk") or _missing("opentelemetry.exporter.otlp.proto.grpc"):
        yield "enable_trace", "needs packages that are missing: pip install 'smg[tracing]'"


def _missing(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        return True
