"""Nothing secret gets into the log, at its most talkative: planted keys, prompts and answers."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
from typing import Any

import pytest

from smg.observability.logging import LogHandle, configure
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import ClosedEarly, RawClient, request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer
from tests.doubles.traffic import CHAT, chat

KEY = "hidden-gateway-key"
TENANT = "hidden-tenant-key"
ADMIN = "hidden-control-key"
WORKER = "hidden-worker-key"
WRONG = "hidden-wrong-key"
PROMPT = "hidden prompt"
ANSWER = "hidden answer"
FRAME = b"data: {}\n\n"

CONFIG: dict[str, Any] = {
    "api_key": KEY,
    "tenant_api_key": (f"acme:{TENANT}",),
    "control_plane_api_keys": (("ops", "Operations", ADMIN, "admin"),),
    "policy": "cache_aware",
    "disable_retries": False,
    "retry_initial_backoff_ms": 1,
    "retry_max_backoff_ms": 2,
    "retry_max_retries": 2,
}


async def misbehaves(peer: Peer) -> None:
    """What the prompt asks for; every answer holds the hidden text."""
    while True:
        request = await peer.read_request()
        text = request.body.decode()
        if "do: garbage" in text:
            await peer.send(f"{ANSWER} is no HTTP\r\n\r\n".encode())
        elif "do: header" in text:
            await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n".encode())
        elif "do: cut" in text:
            await peer.send(STREAM_HEAD + b"%x\r\n%b" % (len(ANSWER) + 40, ANSWER.encode()))
        elif "do: chunks" in text:
            await peer.send(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(FRAME), FRAME))
            await peer.send(f"{ANSWER}\r\n".encode())
        else:
            await peer.respond(503 if "do: refuse" in text else 200, {"text": ANSWER})
            continue
        peer.close()
        return


def prompt(what: str, **more: Any) -> dict[str, Any]:
    return chat(**more) | {"messages": [{"role": "user", "content": f"{PROMPT} do: {what}"}]}


async def drive(gateway: Gateway) -> None:
    for key in (KEY, TENANT, WRONG):
        for name in ("Authorization", "X-Api-Key"):
            value = f"Bearer {key}" if name == "Authorization" else key
            await gateway.post(CHAT, prompt("answer"), {name: value})
    known = {"Authorization": f"Bearer {KEY}"}
    for what in ("refuse", "garbage", "header", "cut", "chunks"):
        async with await RawClient.connect(gateway.port) as client:
            body = prompt(what, stream=what in ("cut", "chunks"))
            await client.send(request_bytes("POST", CHAT, body, known))
            with contextlib.suppress(ClosedEarly, ConnectionResetError):
                await client.answer()
    for broken in (f'{{"messages": "{PROMPT}', f'{{"model": 1, "messages": "{PROMPT}"}}'):
        await gateway.post(CHAT, broken.encode(), known)
    await gateway.post(CHAT, chat(temperature=PROMPT), known)
    await gateway.get(f"/v1/models?api_key={WRONG}&q=visible", known)
    await gateway.get(f"/no/such/path?token={WRONG}")
    admin = {"Authorization": f"Bearer {ADMIN}"}
    await gateway.post("/workers", {"url": "http://127.0.0.1:1", "api_key": WORKER}, admin)
    await gateway.post("/workers", {"url": "nonsense", "api_key": WORKER}, admin)
    await gateway.post("/workers", f'{{"api_key": "{WORKER}"'.encode(), admin)
    await gateway.get("/workers", {"Authorization": f"Bearer {WRONG}"})


async def serve(handle: LogHandle) -> None:
    async with RawServer(misbehaves) as worker:
        config = {**CONFIG, "worker_urls": [worker.url]}
        async with Gateway(log_handle=handle, **config) as gateway:
            handle.redact(*gateway.config.secrets)  # as the process does
            await drive(gateway)


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_nothing_planted_comes_out(as_json: bool, tmp_path: pathlib.Path, run: Any) -> None:
    out = io.StringIO()
    handle = configure("debug", as_json, tmp_path, environ={}, stream=out)
    try:
        run(serve(handle))
        assert handle.flush()
    finally:
        handle.close()
    text = out.getvalue()
    assert "hidden" not in text, [line for line in text.splitlines() if "hidden" in line]
    # It did say something of each of them.
    for expected in ("routed to", "smg::request", "q=visible", "upstream_stream_cut", "retries"):
        assert expected in text
    if as_json:
        lines = [json.loads(line) for line in text.splitlines()]
        assert {"DEBUG", "INFO", "WARN", "ERROR"} <= {line["level"] for line in lines}
    (file,) = tmp_path.iterdir()
    assert file.read_text() == text
