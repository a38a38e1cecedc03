"""Flags: how a worker is picked (cli 4.2)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import header_name, model_alias
from smg.config.kinds import Choice, Float, Int, Integers, Item, Many, PolicyName, Seconds, Switch

AVAILABLE_POLICIES = (
    "cache_aware",
    "round_robin",
    "random",
    "passthrough",
    "power_of_two",
    "least_load",
    "prefix_hash",
    "consistent_hashing",
    "manual",
)
LATER_POLICIES = {"bucket": "only as prefill policy of PD disaggregation"}

policy_flag = partial(Flag, group="Routing Policy")
cache = partial(policy_flag, policies=("cache_aware",))
cache_later = partial(cache, feature="event and hash indexes")
sticky = partial(policy_flag, tag="beyond")
prefix = partial(policy_flag, policies=("prefix_hash",))
least = partial(policy_flag, policies=("least_load", "power_of_two"), tag="beyond")
overload = partial(policy_flag, tag="beyond")

FLAGS = (
    policy_flag(
        name="policy",
        kind=PolicyName(*AVAILABLE_POLICIES, later=LATER_POLICIES),
        default="cache_aware",
        help="How a worker is picked for a request; also module:Class, a policy of your own.",
    ),
    cache(
        name="cache-threshold",
        aliases=("cache-match-threshold",),
        kind=Float(0, 1),
        default=0.3,
        help="Share of the prompt that must match before a worker counts as having it cached.",
    ),
    cache(
        name="balance-abs-threshold",
        aliases=("spill-abs-threshold",),
        kind=Int(0),
        default=64,
        policies=("cache_aware", "bucket"),
        help="Load difference above which balance wins over the cache.",
    ),
    cache(
        name="balance-rel-threshold",
        aliases=("spill-rel-threshold",),
        kind=Float(1),
        default=1.5,
        policies=("cache_aware", "bucket"),
        help="Load ratio above which balance wins over the cache.",
    ),
    cache(
        name="balance-token-usage-threshold",
        kind=Float(),
        default=1.0,
        tag="beyond",
        help="Ceiling on the spread of KV usage; 1.0 or more is off.",
    ),
    cache(
        name="overload-token-usage-threshold",
        kind=Float(),
        default=1.0,
        tag="beyond",
        help="Ceiling on the KV usage of the fullest engine; 1.0 or more is off.",
    ),
    overload(
        name="worker-overload-protection",
        kind=Switch(),
        default=False,
        help="Leave out workers whose KV usage is at 0.9 or more.",
    ),
    overload(
        name="worker-overload-waiting-requests",
        kind=Int(1),
        help="Leave out workers with this many waiting requests; turns the protection on.",
    ),
    overload(
        name="worker-overload-token-usage",
        kind=Float(0, 1),
        help="Leave out workers at this KV usage; turns the protection on.",
    ),
    cache_later(
        name="overlap-decay",
        kind=Float(0),
        default=0.0,
        tag="beyond",
        help="Event mode: how fast a hotspot loses its attraction.",
    ),
    cache_later(
        name="selection-temperature",
        kind=Float(0),
        default=0.0,
        tag="beyond",
        help="Event mode: spread of the choice among good workers.",
    ),
    cache(
        name="eviction-interval",
        aliases=("eviction-interval-secs",),
        kind=Seconds(1),
        default=120,
        policies=("cache_aware", "manual"),
        help="Seconds between two clean-ups of the routing tree.",
    ),
    cache(
        name="max-tree-size",
        kind=Int(1),
        default=67108864,
        help="Bound of the routing tree, in characters (HTTP) or tokens (gRPC).",
    ),
    cache(name="block-size", kind=Int(1), default=16, help="Tokens per KV block of the engines."),
    cache(
        name="cache-boundaries",
        kind=Integers(),
        default=(),
        tag="beyond",
        policies=("cache_aware", "prefix_hash"),
        help="Head positions of the hash index, ascending.",
    ),
    cache_later(
        name="cache-index",
        kind=Choice("tree", "hash"),
        default="tree",
        tag="beyond",
        help="Kind of index.",
    ),
    cache_later(
        name="cache-ttl-secs",
        kind=Seconds(1),
        default=180,
        tag="beyond",
        help="Life of an entry of the hash index.",
    ),
    cache_later(
        name="kv-indexer-ttl-secs",
        kind=Seconds(),
        tag="beyond",
        help="Age at which an entry of the event index is pruned; 0 is off.",
    ),
    cache_later(
        name="kv-indexer-max-entries",
        kind=Int(0),
        tag="beyond",
        help="Entries of the event index per model.",
    ),
    sticky(
        name="max-idle-secs",
        aliases=("sticky-key-idle-secs",),
        kind=Seconds(),
        default=14400,
        tag="seed",
        help="A routing key unused for this long is forgotten; 0 is never.",
    ),
    sticky(
        name="assignment-mode",
        kind=Choice("random", "min_load", "min_group", "delegate"),
        tag="seed",
        help="Where a routing key without a worker goes; random, but delegate with"
        " --routing-key-override.",
    ),
    prefix(
        name="prefix-token-count",
        kind=Int(1),
        default=256,
        help="Tokens that make up the hashed prefix.",
    ),
    prefix(
        name="prefix-hash-load-factor",
        kind=Float(1),
        default=1.25,
        help="Multiple of the mean load above which a worker's prefixes go elsewhere.",
    ),
    prefix(
        name="prefix-hash-balance-abs-threshold",
        kind=Int(0),
        default=10,
        tag="beyond",
        help="Excess over the mean load up to which it keeps them, whatever the multiple.",
    ),
    least(
        name="least-load-kv-pressure-weight",
        kind=Float(0),
        default=0.15,
        help="Weight of the KV usage in the estimated wait.",
    ),
    least(
        name="least-load-default-throughput",
        kind=Float(1),
        default=2000.0,
        help="Tokens per second assumed of a worker not measured yet.",
    ),
    least(
        name="least-load-mean-prefill-tokens",
        kind=Int(1),
        default=1024,
        help="Prompt length assumed of waiting requests.",
    ),
    least(
        name="least-load-max-waiting-requests",
        kind=Int(0),
        default=0,
        policies=("least_load",),
        help="Workers where this many requests wait get no more; 0 is off.",
    ),
    policy_flag(
        name="bucket-adjust-interval-secs",
        kind=Seconds(1),
        default=5,
        tag="beyond",
        policies=("bucket",),
        help="Seconds between two adjustments of the length buckets.",
    ),
    policy_flag(
        name="dp-aware",
        kind=Switch(),
        default=False,
        help="Register every data-parallel rank of an engine as a worker of its own.",
    ),
    policy_flag(
        name="dp-minimum-tokens-scheduler",
        kind=Switch(),
        default=False,
        feature="data-parallel ranks",
        mode="HTTP PD",
        help="Pick the rank with the fewest tokens.",
    ),
    sticky(
        name="routing-key-override",
        aliases=("sticky-sessions",),
        kind=Switch(),
        default=False,
        help="Sticky routing on top of any policy.",
    ),
    sticky(
        name="routing-key-headers",
        kind=Many(Item("HEADER", header_name)),
        default=("x-smg-routing-key",),
        help="Headers that may carry the routing key, in order.",
    ),
    policy_flag(
        name="explain-routing",
        kind=Switch(),
        default=False,
        tag="beyond",
        help="Tell clients in x-smg-routing-decision why their worker was chosen.",
    ),
    policy_flag(
        name="enable-igw",
        kind=Switch(),
        default=False,
        help="Multi-model mode: workers of every kind side by side, chosen by a request's model.",
    ),
    policy_flag(
        name="model-alias",
        kind=Many(Item("ALIAS=CANONICAL", model_alias), least=1, maps=True),
        default=(),
        tag="beyond",
        help="Further names clients may use for a model.",
    ),
)
