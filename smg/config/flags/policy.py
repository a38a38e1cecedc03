"""Flags: how a worker is picked (cli 4.2)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import header_name
from smg.config.kinds import Choice, Float, Int, Integers, Item, Many, Seconds, Switch

CACHE = "cache-aware routing"
LATER_POLICIES = {
    "cache_aware": CACHE,
    "power_of_two": "load-aware routing",
    "least_load": "load-aware routing",
    "prefix_hash": "hash routing",
    "consistent_hashing": "hash routing",
    "manual": "sticky routing",
    "bucket": "PD disaggregation",
}

policy_flag = partial(Flag, group="Routing Policy")
cache = partial(policy_flag, feature=CACHE, policies=("cache_aware",))
sticky = partial(policy_flag, feature="sticky routing", tag="beyond")
prefix = partial(policy_flag, feature="hash routing", policies=("prefix_hash",))
least = partial(policy_flag, feature="load-aware routing", policies=("least_load",), tag="beyond")
overload = partial(policy_flag, feature="overload protection", tag="beyond")

FLAGS = (
    policy_flag(
        name="policy",
        kind=Choice("round_robin", "random", "passthrough", later=LATER_POLICIES),
        # Becomes cache_aware, as the specification has it, when that policy exists.
        default="round_robin",
        help="How a worker is picked for a request.",
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
    cache(
        name="overlap-decay",
        kind=Float(0),
        default=0.0,
        tag="beyond",
        help="Event mode: how fast a hotspot loses its attraction.",
    ),
    cache(
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
    cache(
        name="cache-index",
        kind=Choice("tree", "hash"),
        default="tree",
        tag="beyond",
        help="Kind of index.",
    ),
    cache(
        name="cache-ttl-secs",
        kind=Seconds(1),
        default=180,
        tag="beyond",
        help="Life of an entry of the hash index.",
    ),
    cache(
        name="kv-indexer-ttl-secs",
        kind=Seconds(),
        tag="beyond",
        help="Age at which an entry of the event index is pruned; 0 is off.",
    ),
    cache(
        name="kv-indexer-max-entries",
        kind=Int(0),
        tag="beyond",
        help="Entries of the event index per model.",
    ),
    sticky(
        name="max-idle-secs",
        aliases=("sticky-key-idle-secs",),
        kind=Seconds(1),
        default=14400,
        tag="seed",
        help="A routing key unused for this long is forgotten.",
    ),
    sticky(
        name="assignment-mode",
        kind=Choice("random", "min_load", "min_group", "delegate"),
        tag="seed",
        help="Where a routing key goes that is seen for the first time.",
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
        help="Load ratio above which the next worker on the ring is taken.",
    ),
    prefix(
        name="prefix-hash-balance-abs-threshold",
        kind=Int(0),
        default=10,
        tag="beyond",
        help="Load difference below which the ring is followed whatever the ratio.",
    ),
    least(
        name="least-load-kv-pressure-weight",
        kind=Float(0),
        default=0.15,
        help="Weight of the KV usage in the estimated wait.",
    ),
    least(
        name="least-load-default-throughput",
        kind=Float(0),
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
        help="Workers with more waiting requests come last; 0 is off.",
    ),
    policy_flag(
        name="bucket-adjust-interval-secs",
        kind=Seconds(1),
        default=5,
        tag="beyond",
        feature="PD disaggregation",
        policies=("bucket",),
        help="Seconds between two adjustments of the length buckets.",
    ),
    policy_flag(
        name="dp-aware",
        kind=Switch(),
        default=False,
        feature="data-parallel ranks",
        help="Schedule on data-parallel ranks.",
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
        name="enable-igw",
        kind=Switch(),
        default=False,
        feature="IGW mode",
        help="One gateway for workers of every kind.",
    ),
)
