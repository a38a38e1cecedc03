"""The composition root: starts, stops and gives everything back; nothing here talks to a worker."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smg.app.build import Gateway as Product
from smg.core.errors import ConfigError
from tests.doubles.gateway import Gateway


async def test_a_gateway_without_workers_serves_its_own_routes():
    async with Gateway() as gateway:
        assert (await gateway.get("/health")).status == 200
        assert (await gateway.get("/readiness")).status == 503
        answer = await gateway.get("/nowhere")
        assert (answer.status, answer.header("x-smg-error-code")) == (404, "unknown_url")
        samples = await gateway.metrics()
        assert samples.value("smg_http_requests_total", method="GET", path="/health") == 1
        assert samples.value("smg_http_connections_active") == 0
        assert gateway.port != gateway.product.metrics_port


async def test_the_api_port_has_no_metrics_and_the_metrics_port_no_api():
    from tests.doubles.raw_client import RawClient

    async with Gateway() as gateway:
        assert (await gateway.get("/metrics")).status == 404
        async with await RawClient.connect(gateway.product.metrics_port) as client:
            assert (await client.request("GET", "/health")).status == 404


async def test_keys():
    async with Gateway(api_key="the-shared-key") as gateway:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Api-Key": ""}):
            answer = await gateway.request("POST", "/v1/chat/completions", body, headers)
            assert (answer.status, answer.json()["error"]["code"]) == (401, "invalid_api_key")
            assert answer.header("www-authenticate") == "Bearer"
        for headers in (
            {"Authorization": "bearer the-shared-key"},
            {"x-api-key": "the-shared-key"},
            {"api-key": "the-shared-key"},
            {"x-goog-api-key": "the-shared-key"},
        ):
            answer = await gateway.request("POST", "/v1/chat/completions", body, headers)
            assert answer.status in (404, 503)  # admitted; there is no worker
        assert (await gateway.get("/health")).status == 200
        assert (await gateway.get("/v1/chat/completions")).status == 405


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("port", "--host/--port"),
        ("prometheus_port", "--prometheus-host"),
        ("health_check_port", "--health-check-port"),
    ],
)
async def test_a_busy_port_fails_before_anything_starts(field, flag):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        gateway = Gateway(**{field: busy.getsockname()[1]})
        with pytest.raises(ConfigError) as caught:
            await gateway.product.start()
        (problem,) = caught.value.problems
        assert flag in problem
        assert str(busy.getsockname()[1]) in problem


async def test_settings_reach_the_server():
    async with Gateway(
        max_payload_size=100,
        header_read_timeout_secs=7,
        idle_connection_timeout_secs=8,
        stream_body_stall_timeout_secs=9,
        request_id_headers=("X-Mine",),
        cors_allowed_origins=("https://a",),
    ) as gateway:
        settings = gateway.server.settings
        assert settings.max_payload_size == 100
        assert settings.header_read_timeout == 7
        assert settings.idle_timeout == 8
        assert settings.body_stall_timeout == 9
        assert settings.request_id_headers == (b"x-mine",)
        assert gateway.server.cors is not None
        answer = await gateway.get("/health", {"X-Mine": "i", "Origin": "https://a"})
        assert answer.header("x-request-id") == "i"
        assert answer.header("access-control-allow-origin") == "https://a"


async def test_stopping_closes_idle_connections_and_ports():
    gateway = Gateway()
    async with gateway:
        port = gateway.port
        client = await gateway.connect()
        async with client:
            assert (await client.request("GET", "/health")).status == 200
            await gateway.stop()
            assert await client.read_to_end() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_while_draining_it_is_alive_and_not_ready():
    async with Gateway() as gateway:
        product: Product = gateway.product
        product.readiness.drain()
        assert (await gateway.get("/health")).status == 200
        answer = await gateway.get("/readiness")
        assert answer.status == 503
        assert answer.json()["reason"] == "draining"
