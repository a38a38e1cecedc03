"""`Router`: the gateway as a Python object, and the enums of the public API (cli 12)."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from smg.config.grammar import UsageError
from smg.core.errors import ConfigError

if TYPE_CHECKING:
    from smg.config.parse import Loaded
    from smg.config.settings import RouterConfig
    from smg.router_args import RouterArgs

log = logging.getLogger(__name__)


class PolicyType(enum.Enum):
    """Routing policies by their flag name; not every one is built yet."""

    Random = "random"
    RoundRobin = "round_robin"
    Passthrough = "passthrough"
    CacheAware = "cache_aware"
    PowerOfTwo = "power_of_two"
    LeastLoad = "least_load"
    PrefixHash = "prefix_hash"
    ConsistentHashing = "consistent_hashing"
    Manual = "manual"
    Bucket = "bucket"


class BackendType(enum.Enum):
    """Engines and providers."""

    Sglang = "sglang"
    Vllm = "vllm"
    Trtllm = "trtllm"
    Tokenspeed = "tokenspeed"
    Openai = "openai"
    Anthropic = "anthropic"
    Gemini = "gemini"


class HistoryBackendType(enum.Enum):
    """Where responses and conversations are kept."""

    Memory = "memory"
    None_ = "none"
    Oracle = "oracle"
    Postgres = "postgres"
    Redis = "redis"


_POLICIES = {member.value: member for member in PolicyType}


def policy_from_str(name: str | None) -> PolicyType | None:
    """None stays None; an unknown name is a KeyError."""
    return None if name is None else _POLICIES[name]


def backend_from_str(name: str | None) -> BackendType:
    """Case does not matter, None is sglang; an unknown name is a ValueError."""
    return BackendType((name or "sglang").lower())


def history_backend_from_str(name: str | None) -> HistoryBackendType:
    """Case does not matter, None is memory; an unknown name is a ValueError."""
    return HistoryBackendType((name or "memory").lower())


class Router:
    """One gateway in this process. Make it with `from_args`, run it with `start`."""

    def __init__(self, config: RouterConfig, reload: Callable[[], Loaded] | None = None) -> None:
        """`reload` reads the settings again when SIGHUP asks for it."""
        self.config = config
        self._reload = reload

    @classmethod
    def from_args(cls, args: RouterArgs) -> Router:
        """Check the arguments; ValueError names everything that is wrong with them."""
        args._validate_router_args()
        try:
            loaded = args.resolve()
        except (ConfigError, UsageError) as error:
            raise ValueError(f"Configuration error: {error}") from error
        for text in loaded.warnings:
            log.warning("%s", text)
        return cls(loaded.config, args.resolve)

    def start(self) -> None:
        """Serve until shutdown. RuntimeError when the gateway cannot start or ends in failure."""
        from smg.app.main import run

        try:
            code = run(self.config, reload=self._reload)
        except ConfigError as error:
            raise RuntimeError(str(error)) from error
        if code:
            raise RuntimeError(f"the gateway ended with exit code {code}")
