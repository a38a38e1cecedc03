"""Which policy a model uses.

`POLICIES` is the table of choices; a module is imported when it is first chosen. Every model has
its own instance, so that one model's traffic does not move another's state. The first registered
worker with a label `policy=<name>` overrides the default for its models (routing-reliability 11).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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


class PolicyRegistry:
    """Policies by model; follows the worker registry and forgets what it forgets.

    `context` is what every policy is built on, but for the model.
    """

    def __init__(
        self,
        workers: WorkerRegistry,
        context: PolicyContext,
        *,
        default: str,
        make: Callable[[str, PolicyContext], Policy] = create,
    ) -> None:
        self._workers = workers
        self._context = context
        self._default = default
        self._make = make
        self._policies: dict[str, Policy] = {}
        self._hinted: set[str] = set()
        #: whether the default policy reads load reports: known before any model is used
        sample = make(default, context)  # unknown name: start fails
        self._default_needs_loads = sample.needs_loads
        sample.close()
        for worker in workers.all():
            self._follow_hint(worker)
        self._unsubscribe = workers.subscribe(self._on_event)

    def for_model(self, model: str) -> Policy:
        """The policy of a model; one dictionary look-up once the model was used."""
        policy = self._policies.get(model)
        if policy is None:
            # Names that nobody serves come from clients and are without number: not kept.
            if not self._known(model):
                return self._make(self._default, replace(self._context, model=model))
            policy = self._adopt(model, self._default)
        return policy

    @property
    def needs_loads(self) -> bool:
        """Whether any policy in use reads load reports."""
        return self._default_needs_loads or any(
            policy.needs_loads for policy in self._policies.values()
        )

    def load_aware(self) -> list[tuple[str, str]]:
        """Models in use whose policy reads load reports, each with the name of that policy."""
        return [(model, p.name) for model, p in self._policies.items() if p.needs_loads]

    def reconfigure(self, config: RouterConfig) -> None:
        """The gateway took over settings while it runs: tell every policy, and those to come."""
        self._context = replace(self._context, config=config)
        for model, policy in self._policies.items():
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

    def _adopt(self, model: str, name: str) -> Policy:
        """A new policy for a model, told of every worker that serves it."""
        policy = self._make(name, replace(self._context, model=model))
        old = self._policies.get(model)
        if old is not None:
            old.close()
        self._policies[model] = policy
        for worker in self._workers.all():
            if _serves(worker, model):
                policy.worker_added(worker)
        return policy

    def _known(self, model: str) -> bool:
        return model == UNKNOWN_MODEL or any(
            model in worker.model_ids for worker in self._workers.all()
        )

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        for model in event.left:
            policy = self._policies.get(model)
            if policy is not None:
                policy.worker_removed(worker)
                if not self._known(model):
                    policy.close()
                    del self._policies[model]
                    self._hinted.discard(model)
        for model in event.joined:
            policy = self._policies.get(model)
            if policy is not None:
                policy.worker_added(worker)
        if event.kind in ("added", "models", "changed"):
            self._follow_hint(worker)

    def _follow_hint(self, worker: Worker) -> None:
        hint = worker.labels.get("policy")
        if not hint:
            return
        for model in worker.model_ids:
            if model in self._hinted:
                continue
            try:
                # Never a class named by its path: labels may come from the worker.
                if canonical_name(hint) is None and offered(hint) is None:
                    raise ConfigError([f"unknown policy {hint!r}"])
                self._adopt(model, hint)
            except ConfigError as error:
                log.warning(
                    "worker %s asks for a policy of its own; model %s keeps %s: %s",
                    worker.url,
                    model,
                    self._default,
                    error,
                )
            else:
                self._hinted.add(model)


def _serves(worker: Worker, model: str) -> bool:
    return model == UNKNOWN_MODEL or model in worker.model_ids
