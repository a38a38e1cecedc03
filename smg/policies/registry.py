"""Which policy a model uses.

`POLICIES` is the table of choices; a module is imported when it is first chosen. Every model has
its own instance, so that one model's traffic does not move another's state; where prefill and
decode are split, one per role. The first registered worker with a label `policy=<name>` overrides
the default for its role and models (routing-reliability 11).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext
from smg.policies.loading import build, offered
from smg.workers import UNKNOWN_MODEL, Worker, WorkerEvent, WorkerRegistry

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig

log = logging.getLogger(__name__)

POLICIES: dict[str, str] = {
    "bucket": "smg.policies.bucket:Bucket",
    "cache_aware": "smg.policies.cache_aware:CacheAware",
    "consistent_hashing": "smg.policies.consistent_hashing:ConsistentHashing",
    "least_load": "smg.policies.least_load:LeastLoad",
    "manual": "smg.policies.manual:Manual",
    "passthrough": "smg.policies.passthrough:Passthrough",
    "power_of_two": "smg.policies.power_of_two:PowerOfTwo",
    "prefix_hash": "smg.policies.prefix_hash:PrefixHash",
    "random": "smg.policies.random_choice:RandomChoice",
    "round_robin": "smg.policies.round_robin:RoundRobin",
}
#: these bind keys to workers by themselves: no `--routing-key-override` above them
_KEYED = ("manual", "consistent_hashing")
_SPELLINGS = {name.replace("_", ""): name for name in POLICIES}


def canonical_name(name: str) -> str | None:
    """The table's spelling of `name` (any case, with or without `_`); None if unknown."""
    return _SPELLINGS.get(name.strip().lower().replace("_", "").replace("-", ""))


def create(name: str, context: PolicyContext) -> Policy:
    """A new instance with the operator's parameters. ConfigError for an unknown name, and for a
    policy that does not fit.
    """
    canonical = canonical_name(name) or name
    policy = build(canonical, POLICIES, context)
    if not context.config.routing_key_override or canonical in _KEYED:
        return policy
    from smg.policies.override import RoutingKeyOverride

    return RoutingKeyOverride(policy, context)


#: `PolicyContext.leg` of a worker type
_LEGS = {"prefill": "prefill", "decode": "decode"}

Key = tuple[str, str]  # worker type and model


class PolicyRegistry:
    """Policies by worker type and model; follows the worker registry and forgets what it forgets.

    `context` is what every policy is built on, but for model and leg. `default` is the policy of
    worker types that `roles` does not name.
    """

    def __init__(
        self,
        workers: WorkerRegistry,
        context: PolicyContext,
        *,
        default: str,
        roles: Mapping[str, str] | None = None,
        make: Callable[[str, PolicyContext], Policy] = create,
    ) -> None:
        self._workers = workers
        self._context = context
        self._default = default
        self._roles = dict(roles or {"regular": default})
        self._make = make
        self._policies: dict[Key, Policy] = {}
        self._hinted: set[Key] = set()
        #: worker type under which a worker's policies were told of it, by worker id
        self._told: dict[str, str] = {}
        #: whether a default policy reads load reports: known before any model is used
        self._default_needs_loads = False
        for role, name in self._roles.items():
            sample = make(name, self._context_of(role))  # unknown name: start fails
            self._default_needs_loads |= sample.needs_loads
            sample.close()
        for worker in workers.all():
            self._told[worker.id] = worker.worker_type
            self._follow_hint(worker)
        self._unsubscribe = workers.subscribe(self._on_event)

    def for_model(self, model: str, role: str = "regular") -> Policy:
        """The policy of a model's workers of type `role`; one dictionary look-up once the model was
        used.
        """
        policy = self._policies.get((role, model))
        if policy is None:
            name = self._default_of(role)
            # Names that nobody serves come from clients and are without number: not kept.
            if not self._known(role, model):
                return self._make(name, self._context_of(role, model))
            policy = self._adopt(role, model, name)
        return policy

    @property
    def needs_loads(self) -> bool:
        """Whether any policy in use reads load reports."""
        return self._default_needs_loads or any(
            policy.needs_loads for policy in self._policies.values()
        )

    def load_aware(self) -> list[tuple[str, str]]:
        """Models in use whose policy reads load reports, each with the name of that policy."""
        return [(model, p.name) for (_, model), p in self._policies.items() if p.needs_loads]

    def reconfigure(self, config: RouterConfig) -> None:
        """The gateway took over settings while it runs: tell every policy, and those to come."""
        self._context = replace(self._context, config=config)
        for (_, model), policy in self._policies.items():
            try:
                policy.reconfigure(config)
            except Exception:  # of code that may not be ours; the others must still hear of it
                log.exception("policy %s of model %s keeps its settings", policy.name, model)

    def tick(self) -> None:
        """Let every policy sweep."""
        for policy in self._policies.values():
            policy.tick()

    def close(self) -> None:
        """Follow the registry no longer."""
        self._unsubscribe()
        for policy in self._policies.values():
            policy.close()
        self._policies.clear()

    def _default_of(self, role: str) -> str:
        return self._roles.get(role, self._default)

    def _context_of(self, role: str, model: str | None = None) -> PolicyContext:
        leg = _LEGS.get(role, "single")
        return replace(self._context, leg=leg, model=model or self._context.model)

    def _adopt(self, role: str, model: str, name: str) -> Policy:
        """A new policy for a model, told of every worker that serves it."""
        policy = self._make(name, self._context_of(role, model))
        old = self._policies.get((role, model))
        if old is not None:
            old.close()
        self._policies[role, model] = policy
        for worker in self._workers.all():
            if _serves(worker, role, model):
                policy.worker_added(worker)
        return policy

    def _known(self, role: str, model: str) -> bool:
        return model == UNKNOWN_MODEL or any(
            _serves(worker, role, model) for worker in self._workers.all()
        )

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        role = worker.worker_type
        before = self._told.get(worker.id, role)  # a worker may get another role
        for model in event.left:
            policy = self._policies.get((before, model))
            if policy is not None:
                policy.worker_removed(worker)
                if not self._known(before, model):
                    policy.close()
                    del self._policies[before, model]
                    self._hinted.discard((before, model))
        for model in event.joined:
            policy = self._policies.get((role, model))
            if policy is not None:
                policy.worker_added(worker)
        if event.kind == "removed":
            self._told.pop(worker.id, None)
        else:
            self._told[worker.id] = role
        if event.kind in ("added", "models", "changed"):
            self._follow_hint(worker)

    def _follow_hint(self, worker: Worker) -> None:
        hint = worker.labels.get("policy")
        if not hint:
            return
        role = worker.worker_type
        for model in worker.model_ids:
            if (role, model) in self._hinted:
                continue
            try:
                # Never a class named by its path: labels may come from the worker.
                if canonical_name(hint) is None and offered(hint) is None:
                    raise ConfigError([f"unknown policy {hint!r}"])
                self._adopt(role, model, hint)
            except ConfigError as error:
                log.warning(
                    "worker %s asks for a policy of its own; model %s keeps %s: %s",
                    worker.url,
                    model,
                    self._default_of(role),
                    error,
                )
            else:
                self._hinted.add((role, model))


def _serves(worker: Worker, role: str, model: str) -> bool:
    return worker.worker_type == role and (model == UNKNOWN_MODEL or model in worker.model_ids)
