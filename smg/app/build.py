"""The composition root: builds every object of a gateway in start-up order (cli 10) and takes it
down (cli 11).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smg.app import live
from smg.app.access import ServerLog
from smg.app.authorization import Authorization, warn_if_open
from smg.app.gauges import Gauges
from smg.app.limits import admission_of, breaker_settings, retry_settings
from smg.app.probe_listener import ProbeListener
from smg.backends.http import HttpBackend, RelaySettings
from smg.core.deadlines import Ticker
from smg.core.errors import ConfigError
from smg.endpoints import fanout, metrics, probes, responses, routes
from smg.endpoints.admission import Gate
from smg.endpoints.engine_metrics import EngineMetrics
from smg.endpoints.info import HealthGenerate, WorkerInfo
from smg.endpoints.models import ModelListing
from smg.endpoints.profile import Profile
from smg.endpoints.workers import WorkerHandlers
from smg.fleet.breakers import Breakers
from smg.fleet.engine_gauges import EngineGauges
from smg.fleet.health import HealthMonitor
from smg.fleet.jobs import JobQueue
from smg.fleet.load_sources import LoadSources
from smg.fleet.loads import LoadMonitor
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
from smg.server import Exchange, HttpServer, ServerSettings
from smg.server.listener import bind
from smg.upstream import HttpClient, UpstreamSettings
from smg.version import __version__
from smg.workers import LoadReports, Worker, WorkerEvent, WorkerRegistry

if TYPE_CHECKING:
    from smg.app.reload import ReloadTarget
    from smg.config.settings import RouterConfig
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
        self.readiness = Readiness(self.registry)
        self.metrics = GatewayMetrics(Registry(), config.prometheus_duration_buckets or None)
        self.server: HttpServer = None  # type: ignore[assignment]
        self.upstream: HttpClient = None  # type: ignore[assignment]
        self.backend: HttpBackend = None  # type: ignore[assignment]
        #: who asks clients for keys; None: nobody
        self.guard: Authorization | None = None
        #: numeric, where clients connect
        self.addresses: list[str] = []
        #: what can be taken over while it runs (smg/app/reload.py); further ones may be appended
        self.reload_targets: list[ReloadTarget] = []
        self._closers: list[Callable[[], Awaitable[None] | None]] = []

    # -- start ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind first, so that a busy port fails before a worker is contacted; then everything else.

        Raises ConfigError when an address cannot be bound.
        """
        config = self.config
        loop = asyncio.get_running_loop()
        api, scrape, probe = _bind_all(config)
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
        breakers = Breakers(self.registry, breaker_settings(config), ticker, self.metrics)
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
        )
        sources = LoadSources(self.registry, self.upstream)
        loads = LoadMonitor(
            self.registry,
            sources,
            reports,
            loop,
            interval=config.load_monitor_interval,
            needed=lambda: config.engine_metrics or policies.needs_loads,
            load_aware=policies.load_aware,
            gauges=EngineGauges(self.metrics) if config.engine_metrics else None,
        )
        upkeep = Upkeep(policies.tick, loop, config.eviction_interval)
        self.guard = guard = live.guard_of(config)
        self.backend = HttpBackend(
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
                needs_model=config.enable_igw,
            ),
            forward=live.forward_rules(config, guard),
            metrics=self.metrics,
            worker_failed=health.note_traffic_failure,
        )
        admission = admission_of(config)
        self.gate = None if admission is None else Gate(admission, ticker, self.metrics)
        if self.gate is not None:
            self._closers.append(self.gate.close)
        self.server = HttpServer(
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
        self.scrape_server = HttpServer(
            metrics.routes(self.metrics.registry), ServerSettings(), ticker=ticker
        )
        self._observe(loop)
        self._closers += [
            self.registry.subscribe(self._on_worker_event),
            self.upstream.close,
            breakers.close,
            policies.close,
            sources.close,
            loads.close,
            upkeep.close,
            health.close,
            jobs.close,
        ]
        await self.scrape_server.listen(sockets=scrape)
        self.metrics_port = self.scrape_server.port
        if probe_listener is not None:
            probe_listener.start()
            log.info("probes are answered on %s:%d too", config.host, self.probe_port)
        health.start()
        loads.start()
        upkeep.start()
        self.workers.start(config.worker_urls)
        await self.server.listen(sockets=api)
        self.port = self.server.port
        log.info(
            "Router ready: listening on %s:%d, policy %s, %d worker URLs, metrics on %s:%d",
            config.host,
            self.port,
            config.policy,
            len(config.worker_urls),
            config.prometheus_host,
            self.metrics_port,
        )
        self.addresses = [sock.getsockname()[0] for sock in api]
        warn_if_open(guard, self.addresses)
        self.reload_targets += live.targets(self)

    def _handlers(self, sources: LoadSources) -> routes.Handlers:
        registry, client = self.registry, self.upstream
        loop = asyncio.get_running_loop()

        def trusted(exchange: Exchange) -> bool:
            return self.guard is None or self.guard.trusted(exchange)

        listing = ModelListing(registry)
        info = WorkerInfo(registry, client, trusted)
        generate = HealthGenerate(registry, client, loop)
        engine = EngineMetrics(registry, client, loop)
        self._closers += [listing.close, info.close, generate.close, engine.close]
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
            workers=WorkerHandlers(self.workers),
            profile=Profile(registry, client),
        )

    def _inference(self, endpoint: str, path: str) -> routes.Start:
        start = self.backend.route(endpoint, path)
        return start if self.gate is None else self.gate.before(start)

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
        await self.scrape_server.close(0)
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
