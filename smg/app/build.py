"""The composition root: builds every object of a gateway in start-up order (cli 10) and takes it
down (cli 11).
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smg.app import live
from smg.app.access import ServerLog
from smg.app.authorization import Authorization, warn_if_open
from smg.app.entrance import Entrance
from smg.app.gauges import Gauges
from smg.app.limits import (
    breaker_settings,
    overload_settings,
    read_files,
    retry_settings,
    slot_settings,
)
from smg.app.metrics_listener import MetricsListener
from smg.app.parser_names import check_parsers
from smg.app.probe_listener import ProbeListener
from smg.app.tokenizers import Tokenizers
from smg.backends.http import HttpBackend, RelaySettings
from smg.backends.http.pd import PairBackend
from smg.core.deadlines import Ticker
from smg.core.errors import ConfigError
from smg.endpoints import console, fanout, probes, responses, routes
from smg.endpoints.engine_metrics import EngineMetrics
from smg.endpoints.info import HealthGenerate, WorkerInfo
from smg.endpoints.models import ModelListing
from smg.endpoints.pair_health import PairHealth
from smg.endpoints.profile import Profile
from smg.endpoints.workers import WorkerHandlers
from smg.fleet.breakers import Breakers
from smg.fleet.engine_gauges import EngineGauges
from smg.fleet.health import HealthMonitor
from smg.fleet.jobs import JobQueue
from smg.fleet.load_sources import LoadSources
from smg.fleet.loads import LoadMonitor
from smg.fleet.overload import OverloadWatch
from smg.fleet.readiness import Readiness
from smg.fleet.registration import Registration
from smg.fleet.service import WorkerService
from smg.fleet.settings import FleetSettings
from smg.fleet.upkeep import Upkeep
from smg.observability import process_metrics
from smg.observability.families import GatewayMetrics
from smg.observability.logging import log_fields
from smg.observability.loop_canary import LoopCanary
from smg.observability.loop_watchdog import LoopWatchdog
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.registry import PolicyRegistry
from smg.server import Exchange, HttpServer, ServerSettings, coroutine_route
from smg.server.listener import bind
from smg.upstream import HttpClient, UpstreamSettings
from smg.version import __version__
from smg.workers import LoadReports, Worker, WorkerEvent, WorkerRegistry

if TYPE_CHECKING:
    from smg.app.reload import ReloadCheck, ReloadTarget
    from smg.app.tracing import Tracing
    from smg.config.settings import RouterConfig
    from smg.endpoints.admission import Gate
    from smg.endpoints.priority import PriorityGate
    from smg.observability.logging import LogHandle

log = logging.getLogger(__name__)

#: load balancers learn of the drain within this time, at most half the grace (seconds)
SETTLE = 5.0


class Gateway:
    """One gateway on the running loop. `start()`, then `stop(grace)`; both once."""

    def __init__(self, config: RouterConfig, *, log_handle: LogHandle | None = None) -> None:
        self.config = config
        self.log_handle = log_handle
        self.port = 0
        self.metrics_port = 0
        self.probe_port = 0  # of --health-check-port
        self.registry = WorkerRegistry(config.model_alias)
        self.readiness = Readiness(
            self.registry, "prefill_decode" if config.pd_disaggregation else "regular"
        )
        self.metrics = GatewayMetrics(Registry(), config.prometheus_duration_buckets or None)
        self.server: HttpServer = None  # type: ignore[assignment]
        self.upstream: HttpClient = None  # type: ignore[assignment]
        self.backend: HttpBackend | PairBackend = None  # type: ignore[assignment]
        #: who asks clients for keys; None: nobody
        self.guard: Authorization | None = None
        #: numeric, where clients connect
        self.addresses: list[str] = []
        #: what can be taken over while it runs (smg/app/reload.py); further ones may be appended
        self.reload_targets: list[ReloadTarget] = []
        #: files that settings name (the same)
        self.reload_checks: list[ReloadCheck] = []
        self._closers: list[Callable[[], Awaitable[None] | None]] = []

    @property
    def gate(self) -> Gate | PriorityGate | None:
        """Before the inference routes; None while there is no limit."""
        return self.entrance.gate

    # -- start ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind first, so that a busy port fails before a worker is contacted; then everything else.

        Raises ConfigError when an address cannot be bound.
        """
        config = self.config
        self.limit_files = self.read_limit_files = read_files(config)
        check_parsers(config)
        loop = asyncio.get_running_loop()
        self.tracing = tracing = self._tracing()
        api, scrape, probe = _bind_all(config)
        metrics_listener = MetricsListener(scrape, self.metrics.registry)
        self._closers.append(metrics_listener.close)  # among the last: also a drain is watched
        self.metrics_port = metrics_listener.port
        probe_listener: ProbeListener | None = None
        if probe:
            probe_listener = ProbeListener(probe, self.readiness)
            self._closers.append(probe_listener.close)  # the last one to be closed
            self.probe_port = probe_listener.port
        self.ticker = ticker = Ticker(loop)
        ticker.start()
        self._closers.append(ticker.stop)
        self.upstream = HttpClient(
            UpstreamSettings(
                connect_timeout=config.upstream_connect_timeout_secs,
                pool_idle_timeout=config.upstream_pool_idle_timeout_secs,
            ),
            ticker=ticker,
        )
        fleet = FleetSettings.from_config(config)
        self.registration = registration = Registration(self.registry, self.upstream, fleet, loop)
        jobs = JobQueue(
            loop,
            capacity=config.job_queue_capacity,
            concurrency=config.job_queue_concurrency,
        )
        self.workers = WorkerService(self.registry, registration, jobs, fleet, loop)
        self.tokenizers = Tokenizers(config, self.registry, jobs, self.metrics)
        self.breakers = breakers = Breakers(
            self.registry, breaker_settings(config), ticker, self.metrics
        )
        self.health = health = HealthMonitor(
            self.registry,
            self.upstream,
            fleet,
            loop,
            recovered=registration.refresh_models,
            checked=self._count_check,
            remove_failed=self.workers.remove_failed if config.remove_unhealthy_workers else None,
        )
        reports = LoadReports()
        self.policies = policies = PolicyRegistry(
            self.registry,
            PolicyContext(config, metrics=self.metrics, reports=reports),
            default=config.policy,
            roles=config.role_policies,
        )
        self.overload = overload = OverloadWatch(
            self.registry, reports, overload_settings(config), self.metrics
        )
        sources = LoadSources(self.registry, self.upstream)
        loads = LoadMonitor(
            self.registry,
            sources,
            reports,
            loop,
            interval=config.load_monitor_interval,
            needed=lambda: config.engine_metrics or policies.needs_loads or overload.needed,
            load_aware=policies.load_aware,
            gauges=EngineGauges(self.metrics) if config.engine_metrics else None,
        )
        upkeep = Upkeep(policies.tick, loop, config.eviction_interval)
        self.guard = guard = live.guard_of(config)
        backend: Callable[..., HttpBackend | PairBackend]
        backend = PairBackend if config.pd_disaggregation else HttpBackend
        self.backend = backend(
            registry=self.registry,
            policies=policies,
            client=self.upstream,
            ticker=ticker,
            settings=RelaySettings(
                request_timeout=config.request_timeout_secs,
                first_byte_timeout=config.upstream_first_byte_timeout_secs,
                idle_timeout=config.upstream_idle_timeout_secs,
                sse_keepalive=config.sse_keepalive_secs,
                key_headers=tuple(name.encode() for name in config.routing_key_headers),
                explain=config.explain_routing,
                retry=retry_settings(config),
                shed_retry_after=config.load_monitor_interval,
                needs_model=config.enable_igw,
                prefill_slots=slot_settings(config),
            ),
            forward=live.forward_rules(config, guard),
            metrics=self.metrics,
            worker_failed=health.note_traffic_failure,
        )
        self.entrance = Entrance(
            config,
            self.limit_files,
            registry=self.registry,
            ticker=ticker,
            metrics=self.metrics,
            access=lambda: None if self.guard is None else self.guard.access,
        )
        self._closers.append(self.entrance.close)
        server: Callable[..., HttpServer] = HttpServer if tracing is None else tracing.server
        self.server = server(
            routes.build(self._handlers(sources)),
            _server_settings(config),
            ticker=ticker,
            metrics=self.metrics,
            authorize=guard.authorize if guard is not None else None,
        )
        self.server_log = ServerLog(
            self.server, self.log_handle, guard.trail if guard is not None else None
        )
        if self.log_handle is not None:
            self.log_handle.subscribe(self.backend.log_level_changed)
        self._observe(loop)
        self._closers += [
            self.registry.subscribe(self._on_worker_event),
            self.upstream.close,
            breakers.close,
            policies.close,
            overload.close,
            sources.close,
            loads.close,
            upkeep.close,
            health.close,
            self.tokenizers.close,
            jobs.close,
        ]
        metrics_listener.start()
        if probe_listener is not None:
            probe_listener.start()
            log.info("probes are answered on %s:%d too", config.host, self.probe_port)
        health.start()
        loads.start()
        upkeep.start()
        self.workers.start(config.worker_urls)
        pairs = config.prefill
        self.workers.start(
            [url for url, _ in pairs], worker_type="prefill", ports=[port for _, port in pairs]
        )
        self.workers.start(config.decode, worker_type="decode")
        self.tokenizers.start()
        await self.server.listen(sockets=api)
        self.port = self.server.port
        log.info(
            "Router ready: listening on %s:%d, policy %s, %d worker URLs, metrics on %s:%d",
            config.host,
            self.port,
            ", ".join(f"{role} {policy}" for role, policy in config.role_policies.items())
            if config.pd_disaggregation
            else config.policy,
            len(config.worker_urls) + len(config.prefill) + len(config.decode),
            config.prometheus_host,
            self.metrics_port,
        )
        self.addresses = [sock.getsockname()[0] for sock in api]
        warn_if_open(guard, self.addresses)
        self.reload_targets += live.targets(self)
        self.reload_checks.append(functools.partial(live.check_files, self))

    def _tracing(self) -> Tracing | None:
        if not self.config.enable_trace:
            return None
        from smg.app.tracing import Tracing

        tracing = Tracing(self.config, self.log_handle)
        self._closers.append(tracing.close)  # the last one: every span has ended by then
        return tracing

    def _handlers(self, sources: LoadSources) -> routes.Handlers:
        registry, client = self.registry, self.upstream
        loop = asyncio.get_running_loop()

        def trusted(exchange: Exchange) -> bool:
            return self.guard is None or self.guard.trusted(exchange)

        listing = ModelListing(registry)
        split = self.config.pd_disaggregation
        info = WorkerInfo(registry, client, trusted, "prefill" if split else "regular")
        generate: HealthGenerate | PairHealth = HealthGenerate(registry, client, loop)
        if split:
            generate = PairHealth(registry, self.policies, client, loop)
        engine = EngineMetrics(registry, client, loop)
        console_data = console.ConsoleData(
            registry, self.readiness, self.metrics, lambda: self.server, loop
        )
        self._closers += [listing.close, info.close, generate.close, engine.close]
        self._closers.append(console_data.close)
        return routes.Handlers(
            inference=self._inference,
            readiness=probes.readiness(self.readiness),
            alive=probes.alive,
            models=listing.all,
            model=listing.one,
            model_info=info.model_info,
            server_info=info.server_info,
            health_generate=generate.handle,
            engine_metrics=engine.handle,
            flush_cache=fanout.flush_cache(registry, client),
            get_loads=fanout.Loads(registry, sources).handle,
            response_get=responses.fan_out(registry, client, "GET"),
            response_delete=responses.fan_out(registry, client, "DELETE"),
            response_cancel=responses.fan_out(registry, client, "POST", "/cancel"),
            response_items=responses.fan_out(registry, client, "GET", "/input_items"),
            tokenize=self._guarded(self.tokenizers.tokenization.tokenize),
            detokenize=self._guarded(self.tokenizers.tokenization.detokenize),
            tokenizers=self.tokenizers.handlers,
            parse=self.tokenizers.parse,
            console=console.page(),
            console_data=console_data.handle,
            workers=WorkerHandlers(self.workers),
            profile=Profile(registry, client),
        )

    def _inference(self, endpoint: str, path: str) -> routes.Start:
        make = self.backend.route
        if self.tracing is not None:
            make = functools.partial(self.tracing.route, self.backend)
        return self.entrance.guard(functools.partial(make, endpoint, path))

    def _guarded(self, handler: routes.Handler) -> routes.Start:
        start = coroutine_route(handler)
        if self.tracing is not None:
            start = self.tracing.held(start)
        return self.entrance.guard(lambda _: start)

    def _observe(self, loop: asyncio.AbstractEventLoop) -> None:
        self.metrics.set_build_info(__version__, type(loop).__module__.partition(".")[0])
        process_metrics.install(self.metrics.registry)
        watchdog = LoopWatchdog(self.metrics)
        canary = LoopCanary(self.metrics, watchdog)
        canary.start()
        watchdog.start()
        gauges = Gauges(self.metrics, self.server, self.registry, self.upstream, self.ticker)
        self._closers += [canary.stop, watchdog.stop, gauges.close]

    def _count_check(self, worker: Worker, healthy: bool) -> None:
        result = "success" if healthy else "failure"
        self.metrics.worker_health_checks.labels(worker.worker_type, result).inc()

    def _on_worker_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        if event.kind == "removed":
            log.info("worker %s was removed", worker.url)
        # Other ranks of its engine, or workers behind the same port, still use the connections.
        origin = (worker.tls, worker.host, worker.port)
        if event.kind == "removed" and not any(
            origin == (other.tls, other.host, other.port) for other in self.registry.all()
        ):
            self.upstream.forget(worker.base_url)

    # -- stop -------------------------------------------------------------------------------------

    async def stop(self, grace: float) -> None:
        """Drain for at most `grace` seconds: first not ready but serving, then no new connections,
        then cut.
        """
        self.readiness.drain()
        settle = min(grace / 2, SETTLE)
        if settle:
            await asyncio.sleep(settle)
        self.server.stop_accepting()
        if not await self.server.wait_idle(grace - settle):
            log_fields(
                log,
                logging.WARNING,
                "drain time is over, cutting what is left",
                remaining=len(self.server.exchanges),
                timeout_secs=grace,
            )
            self._cut_remaining()
        else:
            log.info("all requests finished")
        await self.server.close(0)
        for close in reversed(self._closers):
            waiting = close()
            if waiting is not None:
                await waiting
        log.info("server stopped")

    def _cut_remaining(self) -> None:
        for exchange in list(self.server.exchanges):
            shut_down = getattr(exchange.consumer, "shut_down", None)
            if shut_down is not None:
                shut_down()
            else:
                exchange.abort()


def _bind_all(config: RouterConfig) -> tuple[list[socket.socket], ...]:
    """The sockets of the API, of metrics and, perhaps none, of the probe listener: all or nothing.

    Raises ConfigError.
    """
    wanted: list[tuple[str, str, int | None, str]] = [
        ("--host/--port", config.bind_host, config.port, "cannot listen on"),
        (
            "--prometheus-host/--prometheus-port",
            config.prometheus_bind_host,
            config.prometheus_port,
            "failed to bind metrics server on",
        ),
        ("--health-check-port", config.bind_host, config.health_check_port, "cannot listen on"),
    ]
    bound: list[list[socket.socket]] = []
    try:
        for flag, host, port, what in wanted:
            bound.append([] if port is None else _bind(flag, host, port, what))
    except ConfigError:
        for sock in itertools.chain(*bound):
            sock.close()
        raise
    return tuple(bound)


def _bind(flag: str, host: str, port: int, what: str) -> list[socket.socket]:
    try:
        return bind(host, port)
    except OSError as error:
        raise ConfigError([f"{flag}: {what} {host}:{port}: {error.strerror or error}"]) from error


def _server_settings(config: RouterConfig) -> ServerSettings:
    return ServerSettings(
        max_payload_size=config.max_payload_size,
        header_read_timeout=config.header_read_timeout_secs,
        idle_timeout=config.idle_connection_timeout_secs,
        body_stall_timeout=config.stream_body_stall_timeout_secs,
        request_id_headers=tuple(name.lower().encode() for name in config.request_id_headers),
        cors_allowed_origins=tuple(origin.encode() for origin in config.cors_allowed_origins),
    )
