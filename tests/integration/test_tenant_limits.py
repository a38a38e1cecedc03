"""Limits per tenant over real sockets: whose a request is, what it costs, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from smg.core.errors import ConfigError
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer
from tests.doubles.raw_server import Peer, RawServer, Script
from tests.doubles.traffic import CHAT, MESSAGES, chat, error_of, nothing_left

Files = Callable[[str], str]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    def write(text: str) -> str:
        path = tmp_path / "tenants.yaml"
        path.write_text(text)
        return str(path)

    return write


def limited(worker: RawServer, file: str, **more: Any) -> Gateway:
    return Gateway(
        worker_urls=[worker.url],
        tenant_rate_limit_enabled=True,
        tenant_rate_limit_config=file,
        **more,
    )


def bearer(key: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **more}


def used(gateway: Gateway, tenant: str) -> float:
    """Tokens of this minute that a tenant has used."""
    limits = gateway.product.entrance.meter._limits
    bucket = limits._tenants[tenant].overall.tokens
    return float(bucket.burst - bucket.level)


async def test_requests_of_one_tenant(files: Files) -> None:
    file = files("default_policy: {requests_per_minute: 2}")
    keys = ("acme:key-of-acme", "other:key-of-other")
    async with RawServer() as worker, limited(worker, file, tenant_api_key=keys) as gateway:
        acme = bearer("key-of-acme")
        for path in (CHAT, MESSAGES):
            body = chat(max_tokens=1)
            assert (await gateway.post(path, body, acme)).status == 200
        refused = await gateway.post(CHAT, chat(), acme)
        assert (refused.status, refused.header("retry-after")) == (429, "30")
        error = error_of(refused.body)
        assert error["code"] == "tenant_rate_limit_exceeded"
        assert error["message"] == "Tenant rate limit exceeded for this request"
        assert len(worker.requests) == 2
        assert (await gateway.post(CHAT, chat(), bearer("key-of-other"))).status == 200
        assert (await gateway.get("/v1/models", acme)).status == 200


async def test_a_model_rule_holds_for_aliases_too(files: Files) -> None:
    file = files(
        "default_policy:\n"
        "  model_rules:\n"
        "    - {rule_id: small, matcher: {type: prefix, value: test-}, requests_per_minute: 1}\n"
    )
    aliases = (("nick", "test-model"),)
    async with RawServer() as worker, limited(worker, file, model_alias=aliases) as gateway:
        assert (await gateway.post(CHAT, chat(model="nick"))).status == 200
        assert (await gateway.post(CHAT, chat())).status == 429
        assert (await gateway.post(CHAT, chat(model="elsewhere"))).status == 404


async def test_whose_a_request_is(files: Files) -> None:
    shared = "auth:" + sha256(b"key-of-all").hexdigest()
    file = files(
        "tenants:\n"
        f"  - {{tenant_key: '{shared}', requests_per_minute: 1}}\n"
        "  - {tenant_key: 'auth:acme', requests_per_minute: 1}\n"
        "  - {tenant_key: 'header:blue', requests_per_minute: 1}\n"
    )
    trusting = {"trust_tenant_header": True, "tenant_header_name": "x-team"}
    keys: dict[str, Any] = {"api_key": "key-of-all", "tenant_api_key": ("acme:key-of-acme",)}
    everybody, acme = bearer("key-of-all"), bearer("key-of-acme")
    async with RawServer() as worker, limited(worker, file, **keys, **trusting) as gateway:

        async def statuses(headers: dict[str, str]) -> list[int]:
            return [(await gateway.post(CHAT, chat(), headers)).status for _ in range(2)]

        # Who shares the shared key is told apart by the header; a tenant's own key says it all.
        assert await statuses({**everybody, "X-Team": "red"}) == [200, 200]
        assert await statuses({**everybody, "X-Team": " blue "}) == [200, 429]
        assert await statuses({**everybody, "X-Team": "  "}) == [200, 429]
        assert await statuses({**acme, "X-Team": "red"}) == [200, 429]


async def test_an_address_when_nothing_else_is_known(files: Files) -> None:
    file = files("tenants: [{tenant_key: 'ip:127.0.0.1', requests_per_minute: 1}]")
    async with (
        RawServer() as worker,
        limited(worker, file, forward_request_headers=("x-smg-tenant-id",)) as gateway,
    ):
        header = {"X-SMG-Tenant-ID": "blue"}  # nobody said that it can be trusted
        statuses = [(await gateway.post(CHAT, chat(), header)).status for _ in range(2)]
        assert statuses == [200, 429]
        assert worker.requests[-1].header("x-smg-tenant-id") is None


# -- tokens ---------------------------------------------------------------------------------------

USAGE = b'"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42}'
#: 40 bytes: 10 tokens by estimate
PROMPT = [{"role": "user", "content": "0123456789" * 4}]


def answering(*pieces: bytes, stream: bool, length: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            if length:
                await peer.respond(200, b"".join(pieces))
                continue
            await peer.start_stream()
            for piece in pieces:
                await peer.send_chunk(piece)
            await peer.end_stream(done=stream)

    return script


EVENT = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'


@pytest.mark.parametrize(
    ("pieces", "stream", "length", "cost"),
    [
        ((b'{"choices":[],' + USAGE + b"}",), False, True, 42),
        ((b'{"choices":[{"text":"\\"usage\\""}]}',), False, True, 10),  # nothing is said
        ((b'{"a":1,"usage":{"prompt_tok', b'ens":30,"completion_tokens":12}}'), False, False, 42),
        ((EVENT, EVENT, b"data: {" + USAGE + b"}\n\n"), True, False, 42),
        ((EVENT, EVENT, EVENT), True, False, 10 + 4),  # a token per event, [DONE] is one
        ((b'data: {"usage":{"output_tokens":7}}\n\n',), True, False, 10 + 7),  # of Messages
    ],
)
async def test_what_an_answer_costs(
    files: Files, pieces: tuple[bytes, ...], stream: bool, length: bool, cost: int
) -> None:
    file = files("default_policy: {tokens_per_minute: 100}")
    script = answering(*pieces, stream=stream, length=length)
    async with RawServer(script) as worker, limited(worker, file) as gateway:
        answer: Answer = await gateway.post(CHAT, chat(stream=stream, messages=PROMPT))
        assert answer.status == 200
        assert b"".join(pieces) in answer.body  # nothing of it is touched
        assert cost - 2 < used(gateway, "ip:127.0.0.1") <= cost  # refilled a little meanwhile
        await nothing_left(gateway)


async def test_a_request_that_fails_costs_its_prompt_and_a_debt_is_paid_first(files: Files) -> None:
    answers = iter((500, 200))

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(next(answers), b"{" + USAGE + b"}")

    file = files("default_policy: {tokens_per_minute: 25}")
    async with RawServer(script) as worker, limited(worker, file) as gateway:
        assert (await gateway.post(CHAT, chat(messages=PROMPT))).status == 500
        assert round(used(gateway, "ip:127.0.0.1")) == 10
        assert (await gateway.post(CHAT, chat(messages=PROMPT))).status == 200
        refused = await gateway.post(CHAT, chat(messages=PROMPT))
        assert refused.status == 429
        # 10 + 42 of 25 are used: 27 of debt and 10 for the prompt, at 25 a minute.
        assert 80 <= int(refused.header("retry-after") or 0) <= 89
        never = await gateway.post(CHAT, chat(messages=PROMPT * 10))
        assert (never.status, never.header("retry-after")) == (429, None)


async def test_routes_without_a_usage_are_limited_too(files: Files) -> None:
    file = files("default_policy: {tokens_per_minute: 10}")
    async with RawServer() as worker, limited(worker, file) as gateway:
        body = {"model": "test-model", "query": "0123456789" * 4, "documents": ["a"]}
        await gateway.post("/v1/rerank", body)
        assert (await gateway.post("/v1/rerank", body)).status == 429
        await nothing_left(gateway)


# -- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("tenant: []", "tenant"),
        ("tenants: [{tenant_key: acme}]", "'acme' is not a tenant key"),
        ("tenants: [{tenant_key: 'header:a'}]", "needs --trust-tenant-header"),
        ("default_policy: {requests_per_minute: 0}", "requests_per_minute must be above 0"),
        ("{", "is not valid YAML"),
    ],
)
async def test_a_bad_file_ends_the_start(files: Files, text: str, mistake: str) -> None:
    gateway = Gateway(tenant_rate_limit_enabled=True, tenant_rate_limit_config=files(text))
    with pytest.raises(ConfigError, match=mistake) as caught:
        await gateway.product.start()
    (problem,) = caught.value.problems
    assert problem.startswith("--tenant-rate-limit-config: ")
