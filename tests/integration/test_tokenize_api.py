"""`/v1/tokenize`, `/v1/detokenize` and `/v1/tokenizers` of a whole gateway."""

from __future__ import annotations

import asyncio
import json
import pathlib
import threading
from typing import Any

import pytest

from smg.core.errors import ConfigError
from smg.launch_router import check
from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source, load
from tests.doubles import tokenizers as models
from tests.doubles.gateway import Gateway
from tests.doubles.sim import SimWorker

pytest.importorskip("tokenizers")

ANY = "unknown"


async def loaded(gateway: Gateway, name: str) -> dict[str, Any]:
    """Until the tokenizer is there, or its load failed: its status."""
    while True:
        answer = await gateway.get(f"/v1/tokenizers/{name}/status")
        status: dict[str, Any] = answer.json()
        if status.get("status") in ("completed", "failed"):
            return status
        await asyncio.sleep(0.01)


async def create(gateway: Gateway, name: str, source: str, **more: str) -> dict[str, Any]:
    """Load a tokenizer by the API; its last status."""
    answer = await gateway.post("/v1/tokenizers", {"name": name, "source": source, **more})
    assert answer.status == 202, answer.body
    assert answer.json()["status"] == "pending"
    return await loaded(gateway, answer.json()["id"])


async def ask(gateway: Gateway, path: str, body: Any) -> Any:
    """The JSON of an answer that must be 200."""
    answer = await gateway.post(path, body)
    assert answer.status == 200, answer.body
    return answer.json()


# -- tokenize and detokenize ----------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    return models.write_model(tmp_path)


async def test_text_to_ids_and_back(model):
    tokenizer = load(Source(str(model)))
    text = "né🎉 <|im_start|>user\nHello world"
    long = text * 100
    async with Gateway(model_path=str(model)) as gateway:
        for prompt in (text, long, ""):
            got = await ask(gateway, "/v1/tokenize", {"model": ANY, "prompt": prompt})
            ids = tokenizer.encode(prompt).tolist()
            assert got == {"tokens": ids, "count": len(ids), "char_count": len(prompt)}
        got = await ask(gateway, "/v1/tokenize", {"model": "", "prompt": [text, "", long]})
        every = [tokenizer.encode(prompt).tolist() for prompt in (text, "", long)]
        assert got["tokens"] == every
        assert got["count"] == list(map(len, every))
        assert got["char_count"] == [len(text), 0, len(long)]
        got = await ask(gateway, "/v1/tokenize", {"model": ANY, "prompt": ["a"]})
        assert (got["count"], got["char_count"]) == ([1], [1])
        got = await ask(gateway, "/v1/tokenize", {"model": ANY, "prompt": []})
        assert got == {"tokens": [], "count": [], "char_count": []}

        for ids in (every[0], every[2], []):
            got = await ask(gateway, "/v1/detokenize", {"model": ANY, "tokens": ids})
            assert got == {"text": tokenizer.decode(ids)}
        got = await ask(gateway, "/v1/detokenize", {"model": ANY, "tokens": [*every, []]})
        assert got == {"text": [tokenizer.decode(ids) for ids in every] + [""]}
        body = {"model": ANY, "tokens": every[2], "skip_special_tokens": False}
        assert await ask(gateway, "/v1/detokenize", body) == {"text": long}


async def test_many_ids_are_what_the_library_says(model):
    """Long sequences are decoded in another way, and large bodies are parsed in another way."""
    tokenizer = load(Source(str(model)))
    ids = [number % 403 for number in range(20_000)] + [2**32 - 1]
    async with Gateway(model_path=str(model)) as gateway:
        for skip in (True, False):
            body = {"model": ANY, "tokens": ids, "skip_special_tokens": skip}
            got = await ask(gateway, "/v1/detokenize", body)
            assert got["text"] == tokenizer.encoder.decode(ids, skip)
        texts = ["é" * 100_000, "", "a b " * 50_000]
        got = await ask(gateway, "/v1/tokenize", {"model": ANY, "prompt": texts})
        assert got["tokens"] == [tokenizer.encode(text).tolist() for text in texts]
        assert got["char_count"] == list(map(len, texts))
        got = await ask(gateway, "/v1/detokenize", {"model": ANY, "tokens": got["tokens"]})
        assert got["text"] == texts
        flat = [number % 403 for number in range(100_000)]
        got = await ask(gateway, "/v1/detokenize", {"model": ANY, "tokens": flat})
        assert got["text"] == tokenizer.encoder.decode(flat, True)
        wrong = {"model": ANY, "prompt": [*texts, 5]}
        answer = await gateway.post("/v1/tokenize", wrong)
        assert (answer.status, answer.json()["error"]["param"]) == (422, "prompt[3]")


SKIP = "skip_special_tokens"
LONG = [1] * 5000 + ["x"]
BAD = [
    ("/v1/tokenize", {"prompt": "x"}, 422, "model"),
    ("/v1/tokenize", {"model": 5, "prompt": "x"}, 422, "model"),
    ("/v1/tokenize", {"model": ANY}, 422, "prompt"),
    ("/v1/tokenize", {"model": ANY, "prompt": 5}, 422, "prompt"),
    ("/v1/tokenize", {"model": ANY, "prompt": ["x", 5]}, 422, "prompt[1]"),
    ("/v1/tokenize", {"model": ANY, "prompt": [5, "x"]}, 422, "prompt[0]"),
    ("/v1/detokenize", {"model": ANY}, 422, "tokens"),
    ("/v1/detokenize", {"model": ANY, "tokens": "x"}, 422, "tokens"),
    ("/v1/detokenize", {"model": ANY, "tokens": [1, -1]}, 422, "tokens[1]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [2**32]}, 422, "tokens[0]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [1, True]}, 422, "tokens[1]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [1.0]}, 422, "tokens[0]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [[1], 2]}, 422, "tokens[1]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [1, [2]]}, 422, "tokens[1]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [[1], LONG]}, 422, "tokens[1][5000]"),
    ("/v1/detokenize", {"model": ANY, "tokens": [], SKIP: 1}, 422, SKIP),
]


async def test_bad_bodies():
    async with Gateway(model_path="mock") as gateway:
        await loaded(gateway, "mock")
        for path, body, status, param in BAD:
            answer = await gateway.post(path, body)
            assert (answer.status, answer.json()["error"]["param"]) == (status, param), body
        for path in ("/v1/tokenize", "/v1/detokenize"):
            answer = await gateway.request("POST", path, b"{", {"Content-Type": "application/json"})
            assert answer.status == 400
            assert (await gateway.request("POST", path, b"{}")).status == 415


async def test_which_tokenizer(model):
    """By name, by id, by an alias; the start-up tokenizer stands for what workers serve."""
    async with (
        SimWorker(models=("served",)) as worker,
        SimWorker(models=("other",)) as second,
        Gateway(
            worker_urls=[worker.url, second.url],
            model_path=str(model),
            model_alias=(("nick", "other"),),
        ) as gateway,
    ):
        default = await loaded(gateway, str(model).replace("/", "%2F"))
        status = await create(gateway, "other", "mock")
        own = load(Source(str(model))).encode("Hello").tolist()
        for name, ids in (
            (str(model), own),
            (default["id"], own),
            ("served", own),
            ("other", [1]),
            (status["id"], [1]),
            ("nick", [1]),
        ):
            got = await ask(gateway, "/v1/tokenize", {"model": name, "prompt": "Hello"})
            assert got["tokens"] == ids, name
        answer = await gateway.post("/v1/tokenize", {"model": "nobody", "prompt": "Hello"})
        assert answer.status == 400
        assert answer.header("x-smg-error-code") == "tokenizer_not_found"
        # The start-up tokenizer is called by its path, and paths are nobody's business.
        message = "Tokenizer for model 'nobody' not found. Available: other"
        assert answer.json() == {"error": {"message": message, "type": "tokenizer_not_found"}}


async def test_there_is_none():
    async with Gateway() as gateway:
        for path, body in (("tokenize", {"prompt": "x"}), ("detokenize", {"tokens": [1]})):
            answer = await gateway.post(f"/v1/{path}", {"model": ANY, **body})
            assert answer.status == 400
            assert answer.json()["error"]["message"].startswith("No tokenizers available.")


class SlowLoader:
    """Loads when told, or never."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, source: Source, limits: Any, given_up: threading.Event) -> Any:
        while not self.go.wait(0.01):
            if given_up.is_set():
                raise LoadFailed("given up")
        return load(Source("mock"), limits)


async def test_a_request_waits_for_a_tokenizer_that_is_being_loaded(monkeypatch):
    loader = SlowLoader()
    async with Gateway(model_path="slow") as gateway:
        registry = gateway.product.tokenizers.registry
        monkeypatch.setattr(registry, "_loader", loader)
        answer = await gateway.post("/v1/tokenizers", {"name": "later", "source": "mock"})
        job = answer.json()["id"]
        status = (await gateway.get(f"/v1/tokenizers/{job}/status")).json()
        assert status["id"] == job
        assert status["status"] in ("pending", "processing")
        assert (await gateway.get("/v1/tokenizers/later")).status == 404
        body = {"model": "later", "prompt": "Hello"}
        with monkeypatch.context() as impatient:
            impatient.setattr("smg.endpoints.tokenize.WAIT_SECS", 0.0)
            answer = await gateway.post("/v1/tokenize", body)
        assert (answer.status, answer.header("retry-after")) == (503, "2")
        assert answer.json()["error"]["type"] == "tokenizer_not_found"
        asking = asyncio.ensure_future(ask(gateway, "/v1/tokenize", body))
        while not gateway.server.exchanges:
            await asyncio.sleep(0.001)
        loader.go.set()
        assert (await asking)["tokens"] == [1]
        assert (await loaded(gateway, job))["status"] == "completed"


async def test_more_text_than_there_is_room_for(monkeypatch):
    async with Gateway(model_path="mock") as gateway:
        await loaded(gateway, "mock")
        pool = gateway.product.tokenizers.pool
        monkeypatch.setattr(pool, "_most", 100)
        answer = await gateway.post("/v1/tokenize", {"model": ANY, "prompt": "x" * 100})
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert answer.json()["error"]["code"] == "tokenizer_busy"
        await ask(gateway, "/v1/tokenize", {"model": ANY, "prompt": "x"})
        assert pool.admitted == 0
        monkeypatch.setattr("smg.endpoints.tokenize.MOST_BODY", 50)
        answer = await gateway.post("/v1/tokenize", {"model": ANY, "prompt": "x" * 50})
        assert (answer.status, answer.json()["error"]["code"]) == (413, "request_body_too_large")


async def test_a_client_that_leaves_ends_its_batch(monkeypatch):
    """Pieces that wait are not begun, and the room is given back."""
    begun, go = threading.Event(), threading.Event()
    encoded: list[str] = []

    async with Gateway(model_path="mock") as gateway:
        await loaded(gateway, "mock")
        entry = gateway.product.tokenizers.registry.get("mock")
        plain = entry.tokenizer.encode

        def encode(text: str, **more: Any) -> Any:
            encoded.append(text)
            begun.set()
            assert go.wait(10)
            return plain(text, **more)

        monkeypatch.setattr(entry.tokenizer, "encode", encode)
        body = json.dumps({"model": ANY, "prompt": ["x" * 70_000, "y" * 70_000]}).encode()
        client = await gateway.connect()
        head = b"POST /v1/tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        await client.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.to_thread(begun.wait, 10)
        pool = gateway.product.tokenizers.pool
        assert pool.admitted == len(body)
        client.close()
        while pool.admitted:
            await asyncio.sleep(0.005)
        go.set()
        # The other piece would be next on the thread; this comes behind it.
        await pool.run(lambda: None)
        assert len(encoded) == 1
        await gateway.idle()


async def test_permits_are_taken(monkeypatch):
    """Like the inference routes: a request beyond the limit is refused."""
    begun, go = threading.Event(), threading.Event()
    async with Gateway(model_path="mock", max_concurrent_requests=1, queue_size=0) as gateway:
        await loaded(gateway, "mock")
        entry = gateway.product.tokenizers.registry.get("mock")

        def encode(text: str, **more: Any) -> Any:
            begun.set()
            assert go.wait(10)
            raise AssertionError

        monkeypatch.setattr(entry.tokenizer, "encode", encode)
        first = asyncio.ensure_future(
            gateway.post("/v1/tokenize", {"model": ANY, "prompt": "x" * 1000})
        )
        await asyncio.to_thread(begun.wait, 10)
        assert (await gateway.post("/v1/detokenize", {"model": ANY, "tokens": [1]})).status == 429
        go.set()
        assert (await first).status == 500
        await ask(gateway, "/v1/detokenize", {"model": ANY, "tokens": [1]})


async def test_ids_that_do_not_exist(tmp_path):
    """tiktoken's vocabularies refuse them, also in a long sequence."""
    pytest.importorskip("tiktoken")
    models.write_ranks(tmp_path / "x.tiktoken")
    async with Gateway(model_path=str(tmp_path)) as gateway:
        for ids in ([9_999_999], [1] * 5000 + [9_999_999]):
            answer = await gateway.post("/v1/detokenize", {"model": ANY, "tokens": ids})
            assert answer.status == 400
            assert answer.json()["error"]["type"] == "detokenization_error"
            assert "9999999" in answer.json()["error"]["message"]


async def test_text_that_cannot_be_encoded():
    async with Gateway(model_path="mock") as gateway:
        await loaded(gateway, "mock")
        entry = gateway.product.tokenizers.registry.get("mock")

        def encode(text: str, add_special_tokens: bool) -> Any:
            from smg.tokenization.errors import EncodeFailed

            raise EncodeFailed("Tokenization failed: no", cause="the library's own words")

        entry.tokenizer._cache._encoder.encode = encode
        answer = await gateway.post("/v1/tokenize", {"model": ANY, "prompt": "x"})
        assert answer.status == 500
        error = {"message": "Tokenization failed: no", "type": "tokenization_error"}
        assert answer.json() == {"error": error}


# -- the registry ---------------------------------------------------------------------------------


async def test_a_tokenizer_comes_and_goes(model):
    async with Gateway() as gateway:
        body = {"name": "org/m", "source": str(model)}
        answer = await gateway.post("/v1/tokenizers", body)
        job = answer.json()["id"]
        assert answer.json() == {
            "id": job,
            "status": "pending",
            "message": f"Tokenizer 'org/m' registration job submitted. Loading from: {model}",
        }
        assert await loaded(gateway, job) == {
            "id": job,
            "status": "completed",
            "message": "Tokenizer 'org/m' is loaded and ready",
            "vocab_size": 400,
        }
        shown = {"id": job, "name": "org/m", "source": str(model), "vocab_size": 400}
        for name in (job, "org%2Fm"):
            assert (await gateway.get(f"/v1/tokenizers/{name}")).json() == shown
        answer = await gateway.post("/v1/tokenizers", body)
        assert answer.status == 409
        message = "Tokenizer 'org/m' already exists"
        assert answer.json() == {"id": job, "status": "failed", "message": message}
        await create(gateway, "a", "mock")
        listing = (await gateway.get("/v1/tokenizers")).json()["tokenizers"]
        assert [row["name"] for row in listing] == ["a", "org/m"]
        assert listing[1] == shown
        answer = await gateway.request("DELETE", "/v1/tokenizers/org%2Fm")
        message = "Tokenizer 'org/m' removed successfully"
        assert (answer.status, answer.json()) == (200, {"success": True, "message": message})
        answer = await gateway.request("DELETE", f"/v1/tokenizers/{job}")
        message = f"Tokenizer '{job}' not found"
        assert (answer.status, answer.json()) == (404, {"success": False, "message": message})
        answer = await gateway.get(f"/v1/tokenizers/{job}")
        assert answer.status == 404
        assert answer.json() == {"error": {"message": message, "type": "tokenizer_not_found"}}
        answer = await gateway.get(f"/v1/tokenizers/{job}/status")
        message += " and no pending job"
        assert (answer.status, answer.json()["error"]["message"]) == (404, message)
        assert answer.json()["error"]["type"] == "not_found"


async def test_two_loads_of_one_name(monkeypatch):
    """Both are accepted; the second one fails."""
    loader = SlowLoader()
    async with Gateway() as gateway:
        monkeypatch.setattr(gateway.product.tokenizers.registry, "_loader", loader)
        jobs = []
        for _ in range(2):
            answer = await gateway.post("/v1/tokenizers", {"name": "m", "source": "mock"})
            assert answer.status == 202
            jobs.append(answer.json()["id"])
        loader.go.set()
        first, second = [await loaded(gateway, job) for job in jobs]
        assert (first["status"], second["status"]) == ("completed", "failed")
        assert second["message"] == "Tokenizer 'm' already exists"


async def test_loads_that_fail(tmp_path):
    wrong = tmp_path / "wrong.jinja"
    wrong.write_text("{% invalid")
    async with Gateway() as gateway:
        for more, words in (
            ({"source": "/none"}, "File not found: /none"),
            ({"source": ""}, "tokenizer source cannot be empty"),
            (
                {"source": "mock", "chat_template_path": "/none"},
                "Failed to read chat template file",
            ),
            ({"source": "mock", "chat_template_path": str(wrong)}, "chat template, line 1"),
        ):
            status = await create(gateway, "m", **more)
            assert status["status"] == "failed", more
            assert words in status["message"]
        status = await create(gateway, "", "mock")
        assert "tokenizer name cannot be empty" in status["message"]
        assert (await gateway.get("/v1/tokenizers")).json() == {"tokenizers": []}
        for body in ({}, {"name": "m"}, {"name": 1, "source": "mock"}):
            answer = await gateway.post("/v1/tokenizers", body)
            assert (answer.status, answer.json()["error"]["code"]) == (422, "json_parse_error")


async def test_a_full_queue(monkeypatch):
    from smg.fleet.jobs import QueueFull

    async with Gateway() as gateway:

        def full(*_: Any, **__: Any) -> None:
            raise QueueFull

        monkeypatch.setattr(gateway.product.tokenizers.service._jobs, "submit", full)
        answer = await gateway.post("/v1/tokenizers", {"name": "m", "source": "mock"})
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert answer.json() == {"id": "", "status": "failed", "message": "The job queue is full"}


async def test_who_may(model):
    keys = (("id", "ops", "the-control-key", "admin"),)
    async with Gateway(
        api_key="the-shared-key", control_plane_api_keys=keys, model_path="mock"
    ) as gateway:
        data = {"Authorization": "Bearer the-shared-key"}
        control = {"Authorization": "Bearer the-control-key"}
        body = {"model": ANY, "prompt": "Hello"}
        assert (await gateway.request("POST", "/v1/tokenize", body)).status == 401
        assert (await gateway.request("POST", "/v1/detokenize", body)).status == 401
        assert (await gateway.request("POST", "/v1/tokenize", body, data)).status == 200
        for method, path in (
            ("POST", "/v1/tokenizers"),
            ("GET", "/v1/tokenizers"),
            ("GET", "/v1/tokenizers/mock"),
            ("GET", "/v1/tokenizers/mock/status"),
            ("DELETE", "/v1/tokenizers/mock"),
            ("POST", "/parse/function_call"),
            ("POST", "/parse/reasoning"),
        ):
            assert (await gateway.request(method, path, {}, data)).status == 401, path
        assert (await gateway.request("GET", "/v1/tokenizers/mock", None, control)).status == 200


# -- flags ----------------------------------------------------------------------------------------


async def test_the_start_up_tokenizer(model, tmp_path):
    template = tmp_path / "mine.jinja"
    template.write_text("mine {{ messages }}")
    async with Gateway(
        model_path="/none", tokenizer_path=str(model), chat_template=str(template)
    ) as gateway:
        await loaded(gateway, str(model).replace("/", "%2F"))
        [entry] = gateway.product.tokenizers.registry.entries()
        assert entry.tokenizer.template.sources == {"default": "mine {{ messages }}"}
    async with Gateway(model_path=str(model), disable_tokenizer_autoload=True) as gateway:
        assert not gateway.product.tokenizers.registry.is_loading(str(model))
        assert (await gateway.get("/v1/tokenizers")).json() == {"tokenizers": []}


async def test_a_start_up_tokenizer_that_is_missing_stops_nothing(caplog):
    async with Gateway(model_path="/none") as gateway:
        registry = gateway.product.tokenizers.registry
        while registry.is_loading("/none") or "File not found: /none" not in caplog.text:
            await asyncio.sleep(0.005)
        assert (await gateway.get("/health")).status == 200


async def test_cache_metrics(model):
    off = {"tokenizer_cache_enable_l0": False, "tokenizer_cache_enable_l1": False}
    both = dict.fromkeys(off, True)
    names = ("l0_hits_total", "l0_misses_total", "l0_entries")
    names += ("l1_hits_total", "l1_misses_total", "l1_memory_bytes")
    turns = ["<|im_start|>user\nHello there", "<|im_start|>user\nHello there<|im_end|>"]
    for caches in (both, off):
        async with Gateway(**caches) as gateway:
            await create(gateway, "m", str(model))
            for text in (*turns, turns[0], turns[1] + "more"):
                await ask(gateway, "/v1/tokenize", {"model": "m", "prompt": text})
            samples = await gateway.metrics()
            cached = {name for name in samples.names() if "tokenizer_cache" in name}
            if caches is off:
                assert not cached
                continue
            found = [samples.value(f"smg_tokenizer_cache_{n}", tokenizer="m") for n in names]
            assert found[:5] == [1, 3, 3, 1, 2]
            assert found[5] > 0
            await gateway.request("DELETE", "/v1/tokenizers/m")
            assert not cached & (await gateway.metrics()).names()


@pytest.mark.parametrize("flag", ["tool-call-parser", "reasoning-parser"])
async def test_parser_names_are_checked_at_start(flag, capsys):
    with pytest.raises(ConfigError, match=rf"--{flag}: 'none-such' is unknown, choose from "):
        await Gateway(**{flag.replace("-", "_"): "none-such"}).product.start()
    assert check([f"--{flag}", "none-such"]) == 1
    assert capsys.readouterr().err.startswith(f"--{flag}: 'none-such' is unknown")
    assert check([f"--{flag}", "passthrough"]) == 0
