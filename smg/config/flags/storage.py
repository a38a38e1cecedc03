"""Flags: where responses and conversations are kept (cli 4.7, 4.9, 4.10)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.items import key_values
from smg.config.kinds import Choice, Int, Item, Kind, Many, Seconds, Switch

history = partial(Flag, group="History Storage", feature="history storage")
oracle = partial(history, mode="oracle")
postgres = partial(history, mode="postgres")
redis = partial(history, mode="redis")

FLAGS = (
    history(
        name="history-backend",
        kind=Choice("memory", "none", "oracle", "postgres", "redis"),
        default="memory",
        help="Where responses and conversations are kept.",
    ),
    history(
        name="history-memory-max-responses",
        kind=Int(1),
        default=10000,
        mode="memory",
        help="Responses kept.",
    ),
    history(
        name="history-memory-max-items",
        kind=Int(1),
        default=100000,
        mode="memory",
        help="Conversation items kept.",
    ),
    history(
        name="conversation-history-items",
        kind=Int(1),
        default=100,
        help="Newest items of a conversation that reach the model.",
    ),
    oracle(
        name="oracle-wallet-path", kind=Kind("DIR"), env="ATP_WALLET_PATH", help="Oracle wallet."
    ),
    oracle(
        name="oracle-tns-alias",
        kind=Kind("ALIAS"),
        env="ATP_TNS_ALIAS",
        help="Entry of the wallet.",
    ),
    oracle(
        name="oracle-dsn",
        aliases=("oracle-connect-descriptor",),
        kind=Kind("DSN"),
        env="ATP_DSN",
        help="Oracle data source; wins over wallet and alias.",
    ),
    oracle(
        name="oracle-user",
        aliases=("oracle-username",),
        kind=Kind("NAME"),
        env="ATP_USER",
        help="Oracle user.",
    ),
    oracle(
        name="oracle-password",
        kind=Kind("PASSWORD"),
        env="ATP_PASSWORD",
        secret=True,
        help="Password of that user.",
    ),
    oracle(
        name="oracle-external-auth",
        kind=Switch(),
        default=False,
        env="ATP_EXTERNAL_AUTH",
        help="Authenticate outside the database.",
    ),
    oracle(
        name="oracle-pool-min",
        kind=Int(1),
        default=1,
        env="ATP_POOL_MIN",
        help="Connections kept open.",
    ),
    oracle(
        name="oracle-pool-max",
        kind=Int(1),
        default=16,
        env="ATP_POOL_MAX",
        help="Connections at most.",
    ),
    oracle(
        name="oracle-pool-timeout-secs",
        kind=Seconds(1),
        default=30,
        env="ATP_POOL_TIMEOUT_SECS",
        help="Wait for a free connection.",
    ),
    postgres(
        name="postgres-db-url",
        kind=Kind("URL"),
        env="POSTGRES_DB_URL",
        secret=True,
        help="PostgreSQL database.",
    ),
    postgres(
        name="postgres-pool-max-size",
        aliases=("postgres-pool-max",),
        kind=Int(1),
        default=16,
        env="POSTGRES_POOL_MAX",
        help="Connections at most.",
    ),
    redis(name="redis-url", kind=Kind("URL"), env="REDIS_URL", secret=True, help="Redis server."),
    redis(
        name="redis-pool-max-size",
        aliases=("redis-pool-max",),
        kind=Int(1),
        default=16,
        env="REDIS_POOL_MAX",
        help="Connections at most.",
    ),
    redis(
        name="redis-retention-days",
        kind=Int(),
        default=30,
        env="REDIS_RETENTION_DAYS",
        help="Days an entry is kept; negative is for ever.",
    ),
    history(
        name="schema-config",
        kind=Kind("FILE"),
        tag="beyond",
        help="Names of tables and columns, as YAML.",
    ),
    history(
        name="storage-context-headers",
        kind=Many(Item("HEADER=KEY", key_values), maps=True),
        default=(),
        help="Request headers handed to the storage hook.",
    ),
)
