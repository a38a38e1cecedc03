"""The worker that holds most of the prompt, unless somebody else would be faster.

Two trees per model, one over text and one over token ids, each with a `Placement` that finds,
chooses and remembers in one call. The rules are in `smg._speedups.placement`; here is what belongs
to the gateway: parameters, memory pressure, metrics, and the index that engines feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg._speedups.placement import BRANCHES, Placement
from smg._speedups.radix import TextTree, TokenTree
from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.branches import Branches

if TYPE_CHECKING:
    from smg.policies.prefix_index import PrefixIndex
    from smg.workers import Worker

KV_PRESSURE = "kv_pressure"


class CacheAware(Policy):
    """See the module. Where a request brings tokens and `index` knows anything, the index decides
    instead of the trees.
    """

    name = "cache_aware"
    needs_text = True
    tracks_first_byte = True

    def __init__(self, context: PolicyContext, index: PrefixIndex | None = None) -> None:
        config = context.config
        self.index = index
        self._context = context
        self._workers: Sequence[Worker] = ()
        self._text = self._placement(TextTree(config.max_tree_size))
        #: made when the first request brings tokens
        self._tokens: Placement | None = None
        self.needs_loads = (
            config.overload_token_usage_threshold < 1 or config.balance_token_usage_threshold < 1
        )
        self._pressure = KvPressure(context) if self.needs_loads else None
        metrics = context.metrics
        self._branches = Branches(
            None if metrics is None else metrics.cache_aware_branch, (*BRANCHES, KV_PRESSURE)
        )
        self._ratio = None if metrics is None else metrics.cache_aware_matched_ratio.labels()

    @classmethod
    def create(cls, context: PolicyContext) -> CacheAware:
        """With the operator's thresholds and bounds."""
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The best of `workers` for the prompt, which is then remembered as that worker's."""
        if not workers:
            return None
        if workers is not self._workers:
            self._prepare(workers)
        tokens = view.tokens()
        placement = self._text
        prompt: str | Sequence[int]
        if tokens is None:
            prompt = view.text()
        else:
            if self.index:
                worker = self._by_index(workers, tokens, self.index)
                view.ticket = 0
                self._told(self.reason)
                return worker
            placement, prompt = self._token_placement(), tokens
        if self._pressure is not None and self._pressure.on(workers):
            place = placement.choose_least(prompt)
            self.reason, self.score = KV_PRESSURE, placement.ratio
        else:
            place = placement.choose(prompt)
            self.reason, self.score = BRANCHES[placement.branch], placement.ratio
        self._told(self.reason)
        # Below zero: counted in tokens. What the prompt brought is gone when the answer begins.
        view.ticket = placement.uncached if tokens is None else ~placement.uncached
        return workers[place]

    def first_byte(self, worker: Worker, view: RoutingView) -> None:
        """The prompt is read: it waits no longer."""
        ticket = view.ticket
        if ticket >= 0:
            self._text.answered(worker.slot, ticket)
        elif self._tokens is not None:
            self._tokens.answered(worker.slot, ~ticket)

    def worker_removed(self, worker: Worker) -> None:
        """Nothing is its any more; its slot may come back as another worker's."""
        self._text.forget(worker.slot)
        if self._tokens is not None:
            self._tokens.forget(worker.slot)

    def tick(self) -> None:
        """Publish the sizes of the trees."""
        metrics, model = self._context.metrics, self._context.model
        if metrics is None:
            return
        model = metrics.models.admit(model)
        tree = self._text.tree
        metrics.cache_tree_chars.labels(model).set(tree.total)
        metrics.cache_tree_tenants.labels(model, "string").set(len(tree.tenants()))
        if self._tokens is not None:
            tree = self._tokens.tree
            metrics.cache_tree_tokens.labels(model).set(tree.total)
            metrics.cache_tree_tenants.labels(model, "token").set(len(tree.tenants()))

    def close(self) -> None:
        """Take the gauges of this model away."""
        metrics, model = self._context.metrics, self._context.model
        if metrics is not None:
            metrics.cache_tree_chars.remove(model)
            metrics.cache_tree_tokens.remove(model)
            for tree in ("string", "token"):
                metrics.cache_tree_tenants.remove(model, tree)

    def _told(self, branch: str) -> None:
        self._branches.count(branch)
        if self._ratio is not None:
            self._ratio.observe(self.score)

    def _placement(self, tree: TextTree | TokenTree) -> Placement:
        config = self._context.config
        return Placement(
            tree,
            self._context.loads,
            config.cache_threshold,
            config.balance_abs_threshold,
            config.balance_rel_threshold,
        )

    def _prepare(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        slots = [worker.slot for worker in workers]
        self._text.prepare(slots)
        if self._tokens is not None:
            self._tokens.prepare(slots)

    def _token_placement(self) -> Placement:
        placement = self._tokens
        if placement is None:
            config = self._context.config
            placement = self._placement(TokenTree(config.max_tree_size, config.block_size))
            placement.prepare([worker.slot for worker in self._workers])
            self._tokens = placement
        return placement

    def _by_index(
        self, workers: Sequence[Worker], tokens: Sequence[int], index: PrefixIndex
    ) -> Worker:
        """routing-reliability 5.3: most blocks, then the least load; the gate of 5.2 applies."""
        loads = [worker.load * worker.cost for worker in workers]
        least = min(
            range(len(workers)), key=lambda place: (loads[place], self._context.random.random())
        )
        scores = index.scores(tokens)
        held = [scores.get(worker.slot, 0) for worker in workers]
        best = max(
            range(len(workers)),
            key=lambda place: (held[place], -loads[place], self._context.random.random()),
        )
        blocks = max(1, len(tokens) // index.block_size)
        self.score = min(1.0, held[best] / blocks)
        if not held[best]:
            self.reason = "no_eligible_holder" if scores else "miss"
            return workers[least]
        config = self._context.config
        mean = sum(loads) / len(loads)
        overloaded = (
            loads[best] > mean * config.balance_rel_threshold
            and loads[best] > mean + config.balance_abs_threshold
        )
        self.reason = "spill" if overloaded else "hit"
        return workers[least] if overloaded else workers[best]


class KvPressure:
    """Whether the engines' caches are so full, or so unevenly full, that balance comes first.

    Judged anew when reports or candidates change, not per request.
    """

    def __init__(self, context: PolicyContext) -> None:
        self._reports = context.reports
        self._overload = context.config.overload_token_usage_threshold
        self._imbalance = context.config.balance_token_usage_threshold
        self._version = -1
        self._workers: Sequence[Worker] = ()
        self._on = False

    def on(self, workers: Sequence[Worker]) -> bool:
        """routing-reliability 5.1 step 4; only workers with a report count."""
        if self._version != self._reports.version or workers is not self._workers:
            self._version = self._reports.version
            self._workers = workers
            self._on = self._judge(workers)
        return self._on

    def _judge(self, workers: Sequence[Worker]) -> bool:
        reports = (self._reports.get(worker.url) for worker in workers)
        usages = [
            report.token_usage
            for report in reports
            if report is not None and report.token_usage is not None
        ]
        if not usages:
            return False
        fullest = max(usages)
        return fullest > self._overload or fullest - min(usages) > self._imbalance
