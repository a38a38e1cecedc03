"""What is learnt from engines of all kinds, and from workers that tell nothing or nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from smg.core.errors import UpstreamTimeout
from smg.fleet.metadata import Facts, discover
from smg.fleet.probe import Address
from smg.workers import ModelCard
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"


async def learn(fetcher: FakeFetcher, key: str | None = None) -> Facts:
    import asyncio

    clock = SteppedClock()
    task = asyncio.get_running_loop().create_task(discover(fetcher, Address(URL, key), clock))
    for _ in range(10):
        if task.done():
            break
        await clock.advance(1)
    return await task


def listing(model: str, owned_by: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": model, "owned_by": owned_by, **more}]}


async def test_vllm() -> None:
    fetcher = FakeFetcher()
    fetcher.set(
        URL, "/v1/models", 200, listing("acme/m", "vllm", root="/models/m", max_model_len=4096)
    )
    fetcher.set(URL, "/version", 200, {"version": "0.9.1"})
    facts = await learn(fetcher, key="k")
    assert (facts.runtime, facts.reachable) == ("vllm", True)
    assert facts.card == ModelCard("acme/m", root="/models/m", context_length=4096)
    assert facts.labels == {
        "served_model_name": "acme/m",
        "model_path": "/models/m",
        "version": "0.9.1",
    }
    assert all(asked.headers[b"authorization"] == b"Bearer k" for asked in fetcher.asked)


async def test_sglang_new_paths() -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/v1/models", 200, listing("path/of/model", "sglang", max_model_len=100))
    fetcher.set(URL, "/server_info", 200, {"served_model_name": "nice", "version": "0.5"})
    fetcher.set(URL, "/model_info", 200, {"model_path": "/models/nice"})
    facts = await learn(fetcher)
    assert facts.runtime == "sglang"
    assert facts.card == ModelCard("nice", root="/models/nice")
    assert fetcher.paths() == ["/v1/models", "/server_info", "/model_info"]


async def test_sglang_old_paths_and_no_listing() -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/get_server_info", 200, {"model_path": "/m", "context_length": 77})
    facts = await learn(fetcher)
    assert facts.runtime == "sglang"
    assert facts.card == ModelCard("/m", root="/m", context_length=77)
    assert "/server_info" in fetcher.paths()


async def test_nvidia_means_sglang_and_version_means_vllm() -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/v1/models", 200, listing("m", "NVIDIA"))
    assert (await learn(fetcher)).runtime == "sglang"
    fetcher.set(URL, "/v1/models", 200, listing("m", "somebody"))
    fetcher.set(URL, "/version", 200, {"version": "1"})
    assert (await learn(fetcher)).runtime == "vllm"


async def test_another_engine_is_generic() -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/v1/models", 200, listing("m", "me", max_model_len=True))
    facts = await learn(fetcher)
    assert (facts.runtime, facts.card) == ("generic", ModelCard("m"))


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        {"data": None},
        {"data": []},
        {"data": ["m", {"id": 7}, {"id": ""}]},
        {"data": {"id": "m"}},
    ],
)
async def test_nonsense_names_no_model(data: Any) -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/v1/models", 200, data)
    facts = await learn(fetcher)
    assert facts.card is None
    assert facts.reachable
    assert facts.problem


async def test_a_dead_worker_is_asked_three_times() -> None:
    fetcher = FakeFetcher()
    facts = await learn(fetcher)
    assert not facts.reachable
    assert fetcher.paths() == ["/v1/models"] * 3
    assert "failed" in facts.problem


async def test_a_listing_that_fails_at_first() -> None:
    fetcher = FakeFetcher()
    replies = [503, 503, 200]

    def answer() -> Any:
        from tests.doubles.fetcher import FakeReply

        return FakeReply(replies.pop(0), b'{"data":[{"id":"m","owned_by":"vllm"}]}')

    fetcher.answers[URL, "/v1/models"] = answer
    facts = await learn(fetcher)
    assert facts.card == ModelCard("m")


async def test_redirects_are_not_followed_and_slow_steps_share_a_limit() -> None:
    fetcher = FakeFetcher()
    fetcher.set(URL, "/v1/models", 302, b"", location="http://elsewhere/v1/models")
    fetcher.fail(URL, "/version", UpstreamTimeout("The worker did not answer in time"))
    facts = await learn(fetcher)
    assert facts.card is None
    assert facts.problem == "/v1/models answered 302"
    assert {asked.url for asked in fetcher.asked} == {URL}
    assert all(0 < asked.timeout <= 10 for asked in fetcher.asked)


def entry(model: str, **more: Any) -> dict[str, Any]:
    return {"id": model, "owned_by": "vllm", "parent": None, **more}


async def test_adapters_follow_their_model() -> None:
    fetcher = FakeFetcher()
    entries = [
        entry("sql", root="/loras/sql", parent="base"),
        entry("base", root="/models/base", max_model_len=4096),
        entry("fr", root="/loras/fr", parent="/models/base", max_model_len=512),
        entry("sql", root="/loras/again", parent="base"),
        entry("base", parent="base"),
        entry("other", root="/models/other"),
        entry("stray", root="/loras/stray", parent="other"),
        entry("odd", parent=7),
    ]
    fetcher.set(URL, "/v1/models", 200, {"data": entries})
    facts = await learn(fetcher)
    assert facts.card == ModelCard("base", root="/models/base", context_length=4096)
    assert [card.id for card in facts.cards] == ["base", "sql", "fr"]
    assert all(card.parent == "base" for card in facts.cards[1:])
    assert facts.cards[1].context_length == 4096
    assert facts.cards[2] == ModelCard("fr", root="/loras/fr", parent="base", context_length=512)


async def test_an_engines_further_names_of_its_model_are_aliases() -> None:
    fetcher = FakeFetcher()
    names = [entry(name, root="/m") for name in ("m", "m-latest", "m")]
    names.append(entry("lora", root="/l", parent="m-latest"))
    fetcher.set(URL, "/v1/models", 200, {"data": names})
    facts = await learn(fetcher)
    assert facts.cards == (
        ModelCard("m", ("m-latest",), root="/m"),
        ModelCard("lora", root="/l", parent="m"),
    )
    # Without a root nobody knows that two names are one model: the first is served.
    fetcher.set(URL, "/v1/models", 200, {"data": [entry("a"), entry("b")]})
    assert (await learn(fetcher)).cards == (ModelCard("a"),)
