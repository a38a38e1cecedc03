"""The composition root: builds every object of a gateway in start-up order (cli 10) and takes it
down (cli 11).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smg.app.access import ServerLog
from smg.app.gauges import Gauges
from smg.auth.keys import SharedKey, unauthorized
from smg.backends.http import ForwardRules, HttpBackend, RelaySettings
from smg.core.deadlines import Ticker
from smg.core.errors import ConfigError, GatewayError
from smg.endpoints import fanout, metrics, probes, responses, routes
from smg.endpoints.engine_metrics import EngineMetrics
from smg.endpoints.info import HealthGenerate, WorkerInfo
from smg.endpoints.models import ModelListing
from smg.fleet.engine_gauges import EngineGauges
from smg.fleet.health import HealthMonitor
from smg.fleet.load_sources import LoadSources
from smg.fleet.loads import LoadMonitor
from smg.fleet.readiness import Readiness
from smg.fleet.registration import Registration
from smg.fleet.settings import FleetSettings
from smg.fleet.upkeep import Upkeep
from smg.observability import process_metrics
from smg.observability.families import GatewayMetrics
from smg.observability.loop_canary import LoopCanary
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.registry import PolicyRegistry
from smg.server import Exchange, HttpServer, ServerSettings
from smg.server.listener import bind
from smg.upstream import HttpClient, UpstreamSettings
from smg.version import __version__
from smg.workers import LoadReports, Worker, WorkerEvent, WorkerRegistry

if TYPE_CHECKING:
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
        self.registry = WorkerRegistry()
        self.readiness = Readiness(self.registry)
        self.metrics = GatewayMetrics(Registry(), config.prometheus_duration_buckets or None)
        self.server: HttpServer = None  # type: ignore[assignment]
        self.upstream: HttpClient = None  # type: ignore[assignment]
        self.backend: HttpBackend = None  # type: ignore[assignment]
        self._closers: list[Callable[[], Awaitable[None] | None]] = []

    # -- start ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind first, so that a busy port fails before a worker is contacted; then everything else.

        Raises ConfigError when an address cannot be bound.
        """
        config = self.config
        loop = asyncio.get_running_loop()
        api = _bind("--host/--port", config.bind_host, config.port)
        try:
            scrape = _bind(
                "--prometheus-host/--prometheus-port",
                config.prometheus_bind_host,
                config.prometheus_port,
                what="failed to bind metrics server on",
            )
        except ConfigError:
            for sock in api:
                sock.close()
            raise
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
        registration = Registration(self.registry, self.upstream, fleet, loop)
        health = HealthMonitor(
            self.registry,
            self.upstream,
            fleet,
            loop,
            recovered=registration.refresh_models,
            checked=self._count_check,
        )
        reports = LoadReports()
        policies = PolicyRegistry(
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
        key = SharedKey(config.api_key) if config.api_key else None
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
            ),
            forward=ForwardRules(
                config.forward_request_headers, consumes_credentials=key is not None
            ),
            metrics=self.metrics,
            worker_failed=health.note_traffic_failure,
        )
        self.server = HttpServer(
            routes.build(self._handlers(key, sources)),
            _server_settings(config),
            ticker=ticker,
            metrics=self.metrics,
            authorize=_authorizer(key) if key is not None else None,
        )
        ServerLog(self.server, self.log_handle)
        if self.log_handle is not None:
            self.log_handle.subscribe(self.backend.log_level_changed)
        self.scrape_server = HttpServer(
            metrics.routes(self.metrics.registry), ServerSettings(), ticker=ticker
        )
        self._observe(loop)
        self._closers += [
            self.registry.subscribe(self._on_worker_event),
            self.upstream.close,
            policies.close,
            sources.close,
            loads.close,
            upkeep.close,
            health.close,
            registration.close,
        ]
        await self.scrape_server.listen(sockets=scrape)
        self.metrics_port = self.scrape_server.port
        if fleet.check_health:
            health.start()
        loads.start()
        upkeep.start()
        registration.start(config.worker_urls)
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

    def _handlers(self, key: SharedKey | None, sources: LoadSources) -> routes.Handlers:
        registry, client = self.registry, self.upstream
        loop = asyncio.get_running_loop()

        def trusted(exchange: Exchange) -> bool:
            return key is None or key.admits(exchange.headers)

        listing = ModelListing(registry)
        info = WorkerInfo(registry, client, trusted)
        generate = HealthGenerate(registry, client, loop)
        engine = EngineMetrics(registry, client, loop)
        self._closers += [listing.close, info.close, generate.close, engine.close]
        return routes.Handlers(
            inference=self.backend.route,
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
        )

    def _observe(self, loop: asyncio.AbstractEventLoop) -> None:
        self.metrics.set_build_info(__version__, type(loop).__module__.partition(".")[0])
        process_metrics.install(self.metrics.registry)
        canary = LoopCanary(self.metrics)
        canary.start()
        gauges = Gauges(self.metrics, self.server, self.registry, self.upstream, self.ticker)
        self._closers += [canary.stop, gauges.close]

    def _count_check(self, worker: Worker, healthy: bool) -> None:
        result = "success" if healthy else "failure"
        self.metrics.worker_health_checks.labels(worker.worker_type, result).inc()

    def _on_worker_event(self, event: WorkerEvent) -> None:
        if event.kind == "removed":
            self.upstream.forget(event.worker.url)

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
            log.warning(
                "drain time is over: remaining=%d timeout_secs=%g",
                len(self.server.exchanges),
                grace,
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


def _bind(flag: str, host: str, port: int, what: str = "cannot listen on") -> list[socket.socket]:
    try:
        return bind(host, port)
    except OSError as error:
        raise ConfigError([f"{flag}: {what} {host}:{port}: {error.strerror or error}"]) from error


def _authorizer(key: SharedKey) -> Callable[[Exchange], GatewayError | None]:
    def authorize(exchange: Exchange) -> GatewayError | None:
        return None if key.admits(exchange.headers) else unauthorized()

    return authorize


def _server_settings(config: RouterConfig) -> ServerSettings:
    return ServerSettings(
        max_payload_size=config.max_payload_size,
        header_read_timeout=config.header_read_timeout_secs,
        idle_timeout=config.idle_connection_timeout_secs,
        body_stall_timeout=config.stream_body_stall_timeout_secs,
        request_id_headers=tuple(name.lower().encode() for name in config.request_id_headers),
        cors_allowed_origins=tuple(origin.encode() for origin in config.cors_allowed_origins),
    )
