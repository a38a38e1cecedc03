"""What is compared: a gateway with a policy, or in virtual time a policy alone.

Written `ours:cache_aware`, `reference:round_robin`, `ours:cache_aware+cache-threshold=0.5` (flags
of the gateway, `+switch` for one without a value), or `perf.routing.experiments:Oracle` (a class;
virtual driver only). Of pairs, `ours:cache_aware/least_load` has prefill's policy before the slash
and decode's after it; without a slash both have the same. A class and a gateway's policy are mixed
as `perf.routing.experiments:Oracle/ours:least_load`. Flags are for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perf.gateways import GATEWAYS, Gateway, Start

# Gateways ask for loads every so many seconds by default; a faster model needs it more often.
LOAD_INTERVAL_SECONDS = 10
LOAD_INTERVAL = "load-monitor-interval"
ASK_FOR_LOADS = ("ours", "reference")

GATEWAY_OF = {"ours": "smg", "reference": "reference", "sglang": "sglang", "vllm": "vllm"}
REFERENCE_RULE = "perf.routing.experiments:ReferenceCacheAware"
ORACLE = "perf.routing.experiments:Oracle"

REAL = ("ours:round_robin", "ours:cache_aware", "reference:round_robin", "reference:cache_aware")
VIRTUAL = ("ours:round_robin", "ours:cache_aware", REFERENCE_RULE, ORACLE)


@dataclass(frozen=True)
class Contender:
    """`who` is a key of GATEWAY_OF or a module; `flags` are passed on, a switch has no value."""

    who: str
    policy: str
    flags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Contender:
        """ValueError says what is wrong."""
        name, *extra = text.split("+")
        who, colon, policy = name.partition(":")
        if not colon or not policy or (who not in GATEWAY_OF and "." not in who):
            known = ", ".join(GATEWAY_OF)
            raise ValueError(f"{text}: write GATEWAY:POLICY ({known}) or module:Class")
        flags = []
        for part in extra:
            flag, _, value = part.partition("=")
            if not flag or flag.startswith("-"):
                raise ValueError(f"{text}: write +flag=value, without dashes before the flag")
            flags.append((flag, value))
        return cls(who, policy, tuple(flags))

    def __str__(self) -> str:
        flags = [f"+{flag}={value}" if value else f"+{flag}" for flag, value in self.flags]
        return f"{self.who}:{self.policy}" + "".join(flags)

    @property
    def gateway(self) -> Gateway | None:
        """Who runs it; None for a class of Python."""
        return GATEWAYS[GATEWAY_OF[self.who]] if self.who in GATEWAY_OF else None

    @property
    def virtual_name(self) -> str | None:
        """What `make_policy` calls it; None for other people's programs."""
        if self.gateway is None:
            return f"{self.who}:{self.policy}"
        return self.policy if self.who == "ours" else None

    @property
    def legs(self) -> tuple[Contender, Contender]:
        """Who picks workers for prefill, and who for decode."""
        prefill, slash, decode = self.policy.partition("/")
        if not slash:
            return self, self
        who, _, policy = decode.rpartition(":")
        return replace(self, policy=prefill), replace(self, who=who or self.who, policy=policy)

    def command(self, start: Start, speed: float = 1.0) -> list[str] | None:
        """The command line of perf/gateways.py with another policy; None: not installed."""
        command = self.gateway.command(start) if self.gateway else None
        if command is None:
            return None
        command[command.index("--policy") + 1] = self.policy
        return command + self.words(speed)

    def words(self, speed: float) -> list[str]:
        """The flags as a command line has them."""
        flags = dict(self.flags)
        if self.who in ASK_FOR_LOADS:
            flags.setdefault(LOAD_INTERVAL, str(load_interval(speed)))
        return [
            word
            for flag, value in flags.items()
            for word in ((f"--{flag}", value) if value else (f"--{flag}",))
        ]


def load_interval(speed: float) -> int:
    """Seconds between two questions for loads, of a model that is `speed` times faster."""
    return max(1, round(LOAD_INTERVAL_SECONDS / speed))


def first_present(names: Sequence[str], present: Sequence[str]) -> str | None:
    return next((name for name in names if name in present), None)
