"""What stands before the inference routes: admission, plain or by class, and limits of tenants.

A request passes one wrapper while there is a limit on how many may run, and none while there is
not. Both can be switched while the gateway runs; requests that are under way keep what they began
with.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from smg.app.limits import LimitFiles, admission_settings
from smg.endpoints.admission import Gate, Start
from smg.endpoints.priority import PriorityGate
from smg.endpoints.tenants import Tenant, TenantMeter, tenant_of
from smg.reliability.admission import Admission

if TYPE_CHECKING:
    from smg.auth import Access
    from smg.backends.http.metered import Meter
    from smg.config.settings import RouterConfig
    from smg.core.deadlines import Ticker
    from smg.observability.families import GatewayMetrics
    from smg.reliability.classes import SchedulerSettings
    from smg.server.routes import RouteTable
    from smg.workers import WorkerRegistry

#: makes the start function of a route, with whatever limits clients, or None
MakeStart = Callable[["Meter | None"], Start]


class Entrance:
    """See the module. `access` gives the keys in force."""

    def __init__(
        self,
        config: RouterConfig,
        files: LimitFiles,
        *,
        registry: WorkerRegistry,
        ticker: Ticker,
        metrics: GatewayMetrics,
        access: Callable[[], Access | None],
    ) -> None:
        self._registry = registry
        self._ticker = ticker
        self._metrics = metrics
        self._access = access
        self._makers: dict[Start, MakeStart] = {}
        self.gate: Gate | PriorityGate | None = None
        self.meter: TenantMeter | None = None
        self.configure(config, files)

    def close(self) -> None:
        """Nothing happens by time any more."""
        for part in (self.gate, self.meter):
            if part is not None:
                part.close()

    def guard(self, make: MakeStart) -> Start:
        """The start function of an inference route, behind what is on now."""
        start = make(self.meter)
        if self.gate is not None:
            start = self.gate.before(start)
        self._makers[start] = make
        return start

    def rewire(self, table: RouteTable) -> None:
        """Put all routes that `guard` made behind what is on now."""
        makers, self._makers = self._makers, {}
        for endpoint in table.endpoints:
            make = makers.get(endpoint.start)
            if make is not None:
                endpoint.start = self.guard(make)

    def configure(self, config: RouterConfig, files: LimitFiles) -> None:
        """Take settings over; `rewire` afterwards."""
        header = config.tenant_header_name.lower().encode() if config.trust_tenant_header else None
        tenant = tenant_of(self._access, header)
        self._configure_meter(files, tenant)
        if files.scheduler is not None:
            self._admit_by_class(config, files.scheduler, tenant)
        else:
            self._admit_in_order(config)

    def _configure_meter(self, files: LimitFiles, tenant: Tenant) -> None:
        if files.tenants is None:
            if self.meter is not None:
                self.meter.close()
                self.meter = None
        elif self.meter is not None:
            self.meter.configure(files.tenants, tenant)
        else:
            self.meter = TenantMeter(
                files.tenants, self._ticker, tenant=tenant, canonical=self._registry.canonical
            )

    def _admit_by_class(
        self, config: RouterConfig, settings: SchedulerSettings, tenant: Tenant
    ) -> None:
        limit = config.max_concurrent_requests
        shown = config.priority_scheduler_tenant_metric_top_n
        if isinstance(self.gate, PriorityGate):
            self.gate.configure(settings, tenant=tenant, limit=limit, shown_tenants=shown)
            return
        self._abolish()
        self.gate = PriorityGate(
            settings,
            self._registry,
            self._ticker,
            self._metrics,
            tenant=tenant,
            limit=limit,
            shown_tenants=shown,
        )

    def _admit_in_order(self, config: RouterConfig) -> None:
        settings = admission_settings(config)
        if settings is not None and isinstance(self.gate, Gate):
            self.gate.configure(*settings)
            return
        self._abolish()
        if settings is not None:
            admission = Admission(*settings, perf_counter())
            self.gate = Gate(admission, self._ticker, self._metrics)

    def _abolish(self) -> None:
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.abolish()
