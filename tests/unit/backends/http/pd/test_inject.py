"""What the legs are told: rooms, transfers, and the client's bytes around them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.backends.http.pd import inject
from smg.protocols.body import CheckedBody


def body(raw: str) -> CheckedBody:
    return CheckedBody("m", False, orjson.loads(raw), raw.encode())


@pytest.mark.parametrize(
    ("endpoint", "data", "size"),
    [
        ("chat", {}, 0),
        ("chat", {"n": 1}, 0),
        ("chat", {"n": 3}, 3),
        ("chat", {"n": None}, 0),
        ("completions", {"prompt": "x"}, 0),
        ("completions", {"prompt": ["x"]}, 1),
        ("completions", {"prompt": ["x", "y"], "n": 4}, 2),
        ("generate", {"text": "x"}, 0),
        ("generate", {"text": ["x", "y"]}, 2),
        ("generate", {"input_ids": [1, 2]}, 0),
        ("generate", {"input_ids": [[1, 2]]}, 1),
        ("generate", {"input_ids": [[1], [2], [3]]}, 3),
        ("generate", {"input_ids": []}, 0),
        ("messages", {"n": 3}, 0),
        ("responses", {"input": ["a", "b"]}, 0),
    ],
)
def test_batch_sizes(endpoint: str, data: dict[str, Any], size: int) -> None:
    assert inject.batch_size(endpoint, data) == size


def test_ten_thousand_pairs_without_a_collision() -> None:
    rooms = [room for _ in range(10_000) for room in inject.rooms(1)]
    assert len(set(rooms)) == 10_000
    assert all(0 <= room < inject.ROOMS for room in rooms)
    assert max(rooms) > inject.ROOMS // 2  # the whole range


def test_rooms_of_a_batch_differ_whatever_the_dice_say(monkeypatch: pytest.MonkeyPatch) -> None:
    thrown = iter([7, 7, 7, 8, 8, 9])
    monkeypatch.setattr("random.getrandbits", lambda bits: next(thrown))
    assert inject.rooms(3) == [7, 8, 9]


def test_rooms_lead_to_the_rank_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(7):
        assert {room % 7 for room in inject.rooms(50, rank, 7)} == {rank}
    monkeypatch.setattr("random.getrandbits", lambda bits: inject.ROOMS - 1)
    for rank in range(7):
        (room,) = inject.rooms(1, rank, 7)
        assert room < inject.ROOMS
        assert room % 7 == rank


def test_bootstrap_single_and_batch() -> None:
    single = inject.bootstrap("h", 8998, 0)
    assert orjson.loads(single["bootstrap_host"]) == "h"
    assert single["bootstrap_port"] == b"8998"
    batch = inject.bootstrap("h", None, 2)
    assert batch["bootstrap_host"] == b'["h","h"]'
    assert batch["bootstrap_port"] == b"[null,null]"
    assert len(set(orjson.loads(batch["bootstrap_room"]))) == 2


def test_ranks() -> None:
    assert inject.dp_fields(-1, -1) == ({}, {})
    prefill, decode = inject.dp_fields(1, 2)
    assert prefill == {"routed_dp_rank": b"1"}
    assert decode == {"disagg_prefill_dp_rank": b"1", "routed_dp_rank": b"2"}


def test_fields_are_added_behind_the_clients_bytes_or_replace_its_own() -> None:
    fields = {"a": b"1", "b": b"[2]"}
    assert inject.with_fields(body('{"x": 1.10} '), fields) == b'{"x": 1.10,"a":1,"b":[2]} '
    assert inject.with_fields(body('{"b": 7, "x":1}'), fields) == b'{"b": [2], "x":1,"a":1}'
    assert inject.with_fields(body('{"\\u0061":7}'), {"a": b"1"}) == b'{"\\u0061":1}'
    assert inject.with_fields(body("{}"), {}) == b"{}"


def test_prefill_says_one_token() -> None:
    given = body('{"stream":true,"max_tokens":7,"min_tokens":5,"n":1,"stream_options":{},"x":1}')
    assert orjson.loads(inject.prefill_only("completions", given, None)) == {
        "stream": False,
        "max_tokens": 1,
        "n": 1,
        "x": 1,
    }
    both = body('{"max_tokens":7,"max_completion_tokens":8,"kv_transfer_params":{}}')
    assert orjson.loads(inject.prefill_only("chat", both, inject.nixl_tag(), 3)) == {
        "stream": False,
        "max_completion_tokens": 1,
        "kv_transfer_params": {"do_remote_decode": True, "do_remote_prefill": False},
        "data_parallel_rank": 3,
    }


def test_mooncake() -> None:
    assert orjson.loads(inject.mooncake_tag("xfer-1"))["transfer_id"] == "xfer-1"
    params = orjson.loads(inject.mooncake_params("xfer-1", "e", "fd00::1", 8998))
    assert params["remote_bootstrap_addr"] == "http://[fd00::1]:8998"


def test_params_of_an_answer() -> None:
    assert inject.returned_params(b'{"kv_transfer_params" : {"a": 1.0 }}') == b'{"a": 1.0 }'
    assert inject.returned_params(b'{"kv_transfer_params":null}') is None
    assert inject.returned_params(b"{}") is None
    for wrong in (b"[]", b"1", b"", b"{"):
        with pytest.raises(ValueError, match=r"object|document|end"):
            inject.returned_params(wrong)


def test_decode_gets_them_or_nothing() -> None:
    evil = body('{"kv_transfer_params":{"remote_host":"x"},"m":1}')
    assert inject.decode_with(evil, b"{}") == b'{"kv_transfer_params":{},"m":1}'
    assert inject.decode_with(evil, None) == b'{"m":1}'
    assert inject.decode_with(body('{"m":1}'), None) == b'{"m":1}'
    assert inject.decode_with(body('{"m":1}'), None, 2) == b'{"m":1,"data_parallel_rank":2}'
