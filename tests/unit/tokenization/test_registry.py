from __future__ import annotations

import asyncio
import threading

import pytest

from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source, load
from smg.tokenization.registry import ATTEMPTS, TokenizerRegistry


class Loader:
    """Loads the mock tokenizer and counts; waits for `go`, fails as long as told."""

    def __init__(self, *errors: LoadFailed) -> None:
        self.calls: list[Source] = []
        self.errors = list(errors)
        self.go = threading.Event()
        self.go.set()

    def __call__(self, source, limits, given_up):
        self.calls.append(source)
        assert self.go.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        return load(Source("mock"), limits)


async def test_many_loads_of_one_name_are_one():
    loader = Loader()
    registry = TokenizerRegistry(loader=loader)
    loads = [registry.load("m", Source("mock")) for _ in range(10)]
    entries = await asyncio.gather(*loads)
    assert len({entry.id for entry in entries}) == 1
    assert len(loader.calls) == 1
    assert (await registry.load("m", Source("other"))).id == entries[0].id
    assert registry.get("m") is registry.get(entries[0].id) is entries[0]
    await registry.close()


async def test_two_names_of_one_source_share_the_tokenizer():
    loader = Loader()
    registry = TokenizerRegistry(loader=loader)
    first, second = await asyncio.gather(
        registry.load("b", Source("mock")), registry.load("a", Source("mock"))
    )
    third = await registry.load("c", Source("mock"))
    other = await registry.load("d", Source("mock", template="x"))
    assert first.tokenizer is second.tokenizer is third.tokenizer
    assert other.tokenizer is not first.tokenizer
    assert len(loader.calls) == 2
    assert [entry.name for entry in registry.entries()] == ["a", "b", "c", "d"]
    await registry.close()


async def test_one_who_gives_up_does_not_end_the_load():
    loader = Loader()
    loader.go.clear()
    registry = TokenizerRegistry(loader=loader)
    impatient = asyncio.ensure_future(registry.load("m", Source("mock")))
    patient = asyncio.ensure_future(registry.load("m", Source("mock")))
    await asyncio.sleep(0)
    assert registry.is_loading("m")
    impatient.cancel()
    await asyncio.sleep(0)
    loader.go.set()
    assert (await patient).name == "m"
    assert not registry.is_loading("m")
    await registry.close()


async def test_what_may_pass_is_tried_again():
    loader = Loader(LoadFailed("busy", retryable=True), LoadFailed("busy", retryable=True))
    registry = TokenizerRegistry(loader=loader, pause=0)
    assert (await registry.load("m", Source("mock"))).name == "m"
    assert len(loader.calls) == ATTEMPTS
    await registry.close()


@pytest.mark.parametrize(("retryable", "calls"), [(True, ATTEMPTS), (False, 1)])
async def test_a_load_that_fails(retryable, calls, caplog):
    errors = [LoadFailed("no", retryable=retryable) for _ in range(calls)]
    loader = Loader(*errors)
    registry = TokenizerRegistry(loader=loader, pause=0)
    with pytest.raises(LoadFailed, match="no"):
        await registry.load("m", Source("mock"))
    assert len(loader.calls) == calls
    assert registry.get("m") is None
    assert not registry.is_loading("m")
    assert not caplog.records
    assert (await registry.load("m", Source("mock"))).name == "m"  # and nothing is remembered
    await registry.close()


async def test_removing():
    registry = TokenizerRegistry()
    told = []
    registry.subscribe(lambda entry, came: told.append((entry.name, came)))
    entry = await registry.load("m", Source("mock"))
    assert registry.remove(entry.id) is entry
    assert registry.remove("m") is None
    assert told == [("m", True), ("m", False)]
    assert registry.entries() == []
    assert entry.tokenizer.decode([1]) == "Hello"
    await registry.close()


@pytest.mark.parametrize(("name", "path"), [("", "mock"), ("m", "")])
async def test_empty_names(name, path):
    registry = TokenizerRegistry()
    with pytest.raises(LoadFailed, match="cannot be empty"):
        await registry.load(name, Source(path))
    await registry.close()


async def test_an_id_chosen_beforehand_and_names_before_ids():
    registry = TokenizerRegistry()
    first = await registry.load("m", Source("mock"), "the-id")
    assert first.id == "the-id"
    second = await registry.load("the-id", Source("mock"))
    assert registry.get("the-id") is second
    assert registry.named("the-id") is second
    assert registry.get("m") is first
    await registry.close()


async def test_waiting_for_a_load():
    loader = Loader()
    loader.go.clear()
    registry = TokenizerRegistry(loader=loader)
    assert await registry.wait("m", 10) is None  # nothing to wait for
    load_task = asyncio.ensure_future(registry.load("m", Source("mock")))
    await asyncio.sleep(0)
    assert await registry.wait("m", 0) is None
    waiting = asyncio.ensure_future(registry.wait("m", 10))
    loader.go.set()
    assert await waiting is await load_task
    await registry.close()


async def test_a_load_that_is_given_up_is_told():
    begun, ended = threading.Event(), threading.Event()

    def loader(source, limits, given_up):
        begun.set()
        assert given_up.wait(10)
        ended.set()
        raise LoadFailed("given up")

    registry = TokenizerRegistry(loader=loader)
    waiting = asyncio.ensure_future(registry.load("m", Source("mock")))
    await asyncio.to_thread(begun.wait, 10)
    await registry.close()
    assert await asyncio.to_thread(ended.wait, 10)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_number_of_tokenizers_is_bounded(monkeypatch):
    monkeypatch.setattr("smg.tokenization.registry.MOST_ENTRIES", 2)
    registry = TokenizerRegistry()
    await registry.load("a", Source("mock"))
    await registry.load("b", Source("mock"))
    with pytest.raises(LoadFailed, match="there are 2 tokenizers"):
        await registry.load("c", Source("mock"))
    assert (await registry.load("a", Source("mock"))).name == "a"
    await registry.close()
