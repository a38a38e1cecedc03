"""What the two legs of a request are told, spliced into the client's own bytes.

Pure. SGLang's legs find each other by a room at the prefill worker's bootstrap address, vLLM's by
`kv_transfer_params`. Whatever a client wrote under these names is replaced: it must not name hosts
that our workers then connect to. Rules: routing-reliability 23.1 and 23.3.
"""

from __future__ import annotations

import random
from typing import Any

import orjson

from smg.protocols import splice
from smg.protocols.body import CheckedBody

#: what SGLang asks a bootstrap room to be below
ROOMS = 1 << 63

_BOOTSTRAP = ("bootstrap_host", "bootstrap_port", "bootstrap_room")
_NIXL = b'{"do_remote_decode":true,"do_remote_prefill":false}'
#: of the prefill leg of a vLLM request: the cap of what is generated, by endpoint
_CAPS = {"responses": "max_output_tokens"}

Fields = dict[str, bytes]


def batch_size(endpoint: str, data: dict[str, Any]) -> int:
    """How many requests the engine makes of this one, each with a room of its own; 0: one, whose
    room is not in an array.
    """
    if endpoint == "chat":
        count = data.get("n")
        return count if type(count) is int and count > 1 else 0
    if endpoint == "completions":
        prompt = data.get("prompt")
        return len(prompt) if isinstance(prompt, list) else 0
    if endpoint == "generate":
        text = data.get("text")
        if text is not None:
            return len(text) if isinstance(text, list) else 0
        ids = data.get("input_ids")
        if isinstance(ids, list) and ids and isinstance(ids[0], list):
            return len(ids)
    return 0


def rooms(count: int, rank: int = -1, ranks: int = 0) -> list[int]:
    """`count` random rooms, all different. SGLang's prefill takes a room to the data-parallel rank
    `room % ranks`: with a rank chosen (0 or more) the rooms are those that lead to it.
    """
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        room = random.getrandbits(63)
        if rank >= 0 and ranks > 1:
            room += rank - room % ranks
            if room >= ROOMS:
                room -= ranks
        drawn[room] = None
    return list(drawn)


def bootstrap(
    host: str, port: int | None, size: int, prefill_rank: int = -1, ranks: int = 0
) -> Fields:
    """The members by which SGLang's legs meet; both get the same."""
    name = orjson.dumps(host)
    number = b"null" if port is None else b"%d" % port
    if not size:
        return dict(
            zip(_BOOTSTRAP, (name, number, b"%d" % rooms(1, prefill_rank, ranks)[0]), strict=True)
        )
    drawn = (b"%d" % room for room in rooms(size, prefill_rank, ranks))
    columns = (_array([name] * size), _array([number] * size), _array(list(drawn)))
    return dict(zip(_BOOTSTRAP, columns, strict=True))


def dp_fields(prefill_rank: int, decode_rank: int) -> tuple[Fields, Fields]:
    """What the prefill and the decode leg are told of data-parallel ranks; -1: not chosen."""
    prefill, decode = {}, {}
    if prefill_rank >= 0:
        prefill["routed_dp_rank"] = decode["disagg_prefill_dp_rank"] = b"%d" % prefill_rank
    if decode_rank >= 0:
        decode["routed_dp_rank"] = b"%d" % decode_rank
    return prefill, decode


def with_fields(body: CheckedBody, fields: Fields) -> bytes:
    """The body's bytes with these members, replacing those of the same names."""
    return splice.set_fields(body, fields)


# -- vLLM -----------------------------------------------------------------------------------------


def prefill_only(endpoint: str, body: CheckedBody, tag: bytes | None, rank: int = -1) -> bytes:
    """The body of vLLM's prefill leg: read the prompt, say one token, keep the KV cache. `tag` is
    what `kv_transfer_params` shall be; None removes what a client wrote there.
    """
    data = body.data
    cap = _CAPS.get(endpoint, "max_tokens")
    if endpoint == "chat" and "max_completion_tokens" in data:
        cap = "max_completion_tokens"
    wanted: dict[str, bytes | None] = {"stream": b"false", cap: b"1", "kv_transfer_params": tag}
    if cap == "max_completion_tokens":
        wanted["max_tokens"] = None
    if "n" in data:
        wanted["n"] = b"1"
    wanted["stream_options"] = wanted["min_tokens"] = None
    if rank >= 0:
        wanted["data_parallel_rank"] = b"%d" % rank
    if data.get("stream") is False:
        del wanted["stream"]
    return splice.set_fields(body, wanted)


def decode_with(body: CheckedBody, params: bytes | None, rank: int = -1) -> bytes:
    """The body of vLLM's decode leg, with what the prefill leg left for it, if anything."""
    fields: Fields = {} if params is None else {"kv_transfer_params": params}
    if rank >= 0:
        fields["data_parallel_rank"] = b"%d" % rank
    if params is None and "kv_transfer_params" in body.data:
        return splice.set_fields(body, {**fields, "kv_transfer_params": None})
    return with_fields(body, fields)


def nixl_tag() -> bytes:
    """Ask a prefill to keep its KV cache for somebody."""
    return _NIXL


def mooncake_tag(transfer: str) -> bytes:
    """The same under a name of our choice."""
    return _NIXL[:-1] + b',"transfer_id":%s}' % orjson.dumps(transfer)


def mooncake_params(transfer: str, engine: str, host: str, port: int) -> bytes:
    """Where decode finds what prefill keeps under that name. `engine` is prefill's engine id."""
    shown = f"[{host}]" if ":" in host else host
    return orjson.dumps(
        {
            "do_remote_decode": False,
            "do_remote_prefill": True,
            "transfer_id": transfer,
            "remote_engine_id": engine,
            "remote_bootstrap_addr": f"http://{shown}:{port}",
        }
    )


def returned_params(answer: bytes) -> bytes | None:
    """The `kv_transfer_params` of a prefill's answer, byte for byte; None if it has none.
    ValueError if the answer is no JSON object.
    """
    data = orjson.loads(answer)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if data.get("kv_transfer_params") is None:
        return None
    return splice.known_value(answer, "kv_transfer_params")


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
