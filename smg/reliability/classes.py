"""The four classes of the priority scheduler: what each may have, and who may ask for which.

Also the file of `--priority-scheduler-config`, as plain data: reading YAML is the caller's. Rules
and defaults: routing-reliability 20. Keys of a class in the file are the fields of `ClassSettings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from smg.reliability.tenant_policy import is_tenant_key

SYSTEM = 0
INTERACTIVE = 1
DEFAULT = 2
BULK = 3
CLASS_NAMES = ("system", "interactive", "default", "bulk")

#: what a worker takes that does not say (label `max_running_requests`)
WORKER_CAPACITY = 64
#: without workers and without --max-concurrent-requests
FALLBACK_CAPACITY = 1024


class ClassSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reserved` permits, or `share` of all of them if that is more, are kept for the class.
    `queue_size` requests may wait, each `queue_timeout_secs` at most; one that has waited
    `starvation_secs` goes before every class. `may_preempt`: may take the place of a lower class.
    """

    reserved: int
    share: float
    queue_size: int
    queue_timeout_secs: float
    starvation_secs: float
    may_preempt: bool

    def problem(self) -> str:
        """What is wrong with the numbers, empty if nothing."""
        if self.reserved < 0 or self.queue_size < 0:
            return "reserved and queue_size cannot be negative"
        if not 0 <= self.share <= 1:
            return "share must be between 0 and 1"
        if self.queue_timeout_secs <= 0 or self.starvation_secs <= 0:
            return "queue_timeout_secs and starvation_secs must be above 0"
        return ""


DEFAULT_CLASSES = (
    ClassSettings(32, 0.0, 64, 30.0, 5.0, True),
    ClassSettings(128, 0.25, 256, 30.0, 5.0, True),
    ClassSettings(0, 0.10, 512, 60.0, 30.0, False),
    ClassSettings(0, 0.0, 1024, 300.0, 120.0, False),
)


class SchedulerSettings(msgspec.Struct, frozen=True):
    """`classes`, highest first. `max_class` by tenant key; `default_max_class` for all others.
    `capacity` in permits; 0: what the workers take together.
    """

    capacity: int = 0
    classes: tuple[ClassSettings, ...] = DEFAULT_CLASSES
    default_max_class: int = DEFAULT
    max_class: dict[str, int] = {}

    def clamp(self, rank: int, tenant: str) -> int:
        """The class a tenant's request gets when it asks for `rank`: never above the tenant's."""
        return max(rank, self.max_class.get(tenant, self.default_max_class))


def parse_class(value: bytes) -> int:
    """The rank that `x-smg-priority` names; -1 if it names none (then it is `DEFAULT`, counted)."""
    name = value.strip().lower()
    for rank, known in enumerate(CLASS_NAMES):
        if name == known.encode():
            return rank
    return -1


def reservations(classes: Sequence[ClassSettings], capacity: int) -> tuple[int, ...]:
    """Permits kept for each class. Where those that are configured do not fit, the classes share
    half of `capacity` in the same proportions, so that something is left for whoever comes first.
    """
    asked = _asked(classes, capacity)
    total = sum(asked)
    if total <= capacity:
        return asked
    return tuple(number * (capacity // 2) // total for number in asked)


def fit(classes: Sequence[ClassSettings], capacity: int) -> bool:
    """Whether as many permits can be kept for each class as is configured."""
    return sum(_asked(classes, capacity)) <= capacity


def _asked(classes: Sequence[ClassSettings], capacity: int) -> tuple[int, ...]:
    return tuple(
        # the small term: 0.1 * 70 is a little above 7, and 8 is not what was asked for
        max(settings.reserved, math.ceil(settings.share * capacity - 1e-9))
        for settings in classes
    )


def capacity_of(override: int, workers: Iterable[int | None], limit: int) -> int:
    """Permits in total: `override` if above 0; else what the workers take together (None: a worker
    that does not say); without workers `limit`, or 1024 if that is not above 0 either.
    """
    if override > 0:
        return override
    total = sum(WORKER_CAPACITY if takes is None else takes for takes in workers)
    if total > 0:
        return total
    return limit if limit > 0 else FALLBACK_CAPACITY


def scheduler_settings(data: Any, default_max_class: str = "default") -> SchedulerSettings:
    """Settings from the content of the file, None for an empty one. ValueError says what is wrong.

    A class that the file names keeps its defaults where the file says nothing.
    """
    file = _decode({} if data is None else data, _File)
    classes = list(DEFAULT_CLASSES)
    for name, changes in file.classes.items():
        rank = _rank(name, "classes")
        merged = {**msgspec.to_builtins(classes[rank]), **changes}
        classes[rank] = _decode(merged, ClassSettings, f" in class {name}")
        if problem := classes[rank].problem():
            raise ValueError(f"class {name}: {problem}")
    if file.capacity is not None and file.capacity < 1:
        raise ValueError("capacity must be at least 1")
    if file.capacity is not None and not fit(classes, file.capacity):
        total = sum(_asked(classes, file.capacity))
        raise ValueError(
            f"classes: {total} permits are reserved, but there are {file.capacity} (capacity)"
        )
    for tenant in file.tenant_policies:
        if not is_tenant_key(tenant):
            raise ValueError(f"tenant_policies: {tenant!r} is not a tenant key")
    return SchedulerSettings(
        file.capacity or 0,
        tuple(classes),
        _rank(default_max_class, "default max class"),
        {
            tenant: _rank(policy.max_class, f"tenant {tenant}")
            for tenant, policy in file.tenant_policies.items()
        },
    )


class _TenantPolicy(msgspec.Struct, forbid_unknown_fields=True):
    max_class: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    capacity: int | None = None
    classes: dict[str, dict[str, Any]] = {}
    tenant_policies: dict[str, _TenantPolicy] = {}


def _decode(data: Any, form: Any, where: str = "") -> Any:
    try:
        return msgspec.convert(data, form)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}{where}") from None


def _rank(name: str, where: str) -> int:
    try:
        return CLASS_NAMES.index(name)
    except ValueError:
        raise ValueError(f"{where}: {name!r} is none of {', '.join(CLASS_NAMES)}") from None
