"""Which policy a model uses.

`POLICIES` is the table of choices; a module is imported when it is first chosen. Every model has
its own instance, so that one model's traffic does not move another's state. The first registered
worker with a label `policy=<name>` overrides the default for its models (routing-reliability 11).
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import replace

from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext
from smg.workers import UNKNOWN_MODEL, Worker, WorkerEvent, WorkerRegistry

log = logging.getLogger(__name__)

POLICIES: dict[str, str] = {
    "passthrough": "smg.policies.passthrough:Passthrough",
    "random": "smg.policies.random_choice:RandomChoice",
    "round_robin": "smg.policies.round_robin:RoundRobin",
}
_SPELLINGS = {name.replace("_", ""): name for name in POLICIES}


def canonical_name(name: str) -> str | None:
    """The table's spelling of `name` (any case, with or without `_`); None if unknown."""
    return _SPELLINGS.get(name.strip().lower().replace("_", "").replace("-", ""))


def create(name: str, context: PolicyContext) -> Policy:
    """A new instance with the operator's parameters; ConfigError for an unknown name."""
    canonical = canonical_name(name)
    if canonical is None:
        raise ConfigError([f"--policy: unknown policy {name!r}, choose from {', '.join(POLICIES)}"])
    module, _, attribute = POLICIES[canonical].partition(":")
    policy_class: type[Policy] = getattr(importlib.import_module(module), attribute)
    return policy_class.create(context)


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
        self._default_needs_loads = make(default, context).needs_loads  # unknown name: start fails
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
        if event.kind in ("added", "models"):
            self._follow_hint(worker)

    def _follow_hint(self, worker: Worker) -> None:
        hint = worker.labels.get("policy")
        if not hint:
            return
        for model in worker.model_ids:
            if model in self._hinted:
                continue
            if canonical_name(hint) is None:
                log.warning(
                    "worker %s asks for unknown policy %r; model %s keeps %s",
                    worker.url,
                    hint,
                    model,
                    self._default,
                )
                continue
            self._hinted.add(model)
            self._adopt(model, hint)


def _serves(worker: Worker, model: str) -> bool:
    return model == UNKNOWN_MODEL or model in worker.model_ids
