"""Workers as values: names, load, header bytes."""

from __future__ import annotations

import re

from smg.core import ids
from smg.workers import ModelCard, Worker, WorkerStatus


def test_defaults() -> None:
    worker = Worker("http://Host:8000/v1/")
    assert worker.url == "http://host:8000"
    assert worker.address == b"http://host:8000"
    assert worker.status is WorkerStatus.PENDING
    assert (worker.worker_type, worker.connection_mode, worker.runtime) == (
        "regular",
        "http",
        "generic",
    )
    assert worker.model_ids == ("unknown",)
    assert ids.is_uuid(worker.id)


def test_load_never_falls_below_zero() -> None:
    worker = Worker("http://h:1")
    worker.release()
    assert worker.load == 0
    worker.acquire()
    worker.acquire()
    worker.release()
    assert worker.load == 1


def test_model_ids_are_distinct_and_ordered() -> None:
    worker = Worker("http://h:1", models=[ModelCard("b"), ModelCard("a"), ModelCard("b")])
    assert worker.model_ids == ("b", "a")


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Worker("http://h:1", api_key="secret"))


def test_uuid7_is_ordered_and_marked() -> None:
    first = ids.uuid7()
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first
    )
    assert ids.is_uuid(first)
    assert ids.uuid7()[:13] >= first[:13]


def test_request_suffixes() -> None:
    drawn = {ids.request_suffix() for _ in range(2000)}
    assert len(drawn) == 2000
    assert all(re.fullmatch(rb"[A-Za-z0-9]{24}", suffix) for suffix in drawn)


def test_random_suffix_has_the_wanted_length() -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{7}", ids.random_suffix(7))


def test_is_uuid_refuses_other_text() -> None:
    assert not ids.is_uuid("workers")
    assert not ids.is_uuid("0198c0de-0000-7000-8000-00000000000g")
    assert not ids.is_uuid("0198c0de000070008000000000000001")
