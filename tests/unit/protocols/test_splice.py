"""Changes in the bytes of a JSON object: the awkward spellings. Random ones: tests/property."""

from __future__ import annotations

import orjson
import pytest

from smg.protocols import CheckedBody
from smg.protocols.splice import (
    add_field,
    array_items,
    edit,
    known_value,
    member_value,
    replace_model,
    set_field,
    set_fields,
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", b'{"k":1}'),
        (b" { \n } ", b' { \n "k":1} '),
        (b'{"a":{}}', b'{"a":{},"k":1}'),
        (b'{"a":"{"  }\r\n', b'{"a":"{"  ,"k":1}\r\n'),
        (b'{"a":[]}', b'{"a":[],"k":1}'),
    ],
)
def test_add_field(raw: bytes, expected: bytes) -> None:
    assert add_field(raw, "k", b"1") == expected


def test_an_added_field_wins_over_an_earlier_one() -> None:
    assert orjson.loads(add_field(b'{"k":0,"k":5}', "k", b"1")) == {"k": 1}


def test_keys_are_escaped() -> None:
    assert add_field(b"{}", 'a"\n', b"1") == b'{"a\\"\\n":1}'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"model":"a","x":1.0}', b'{"model":"n","x":1.0}'),
        (b'{ "model" :\t"a\\"}" , "x":[{}] }', b'{ "model" :\t"n" , "x":[{}] }'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"n"}'),
        (b'{"\\u006Dodel":"a"}', b'{"\\u006Dodel":"n"}'),
        # The same key deeper down, in a string, or repeated.
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"n"}'),
        (b' { "x" : {"model" : 1.0} , "model" : "a" } ', None),
        (b'{"x":"\\"model\\":1","model":"a"}', b'{"x":"\\"model\\":1","model":"n"}'),
        (b'{"\\"model":"a","model":"a"}', b'{"\\"model":"a","model":"n"}'),
        (b'{"mod\\u0065l":"a","x":{"model":"a"}}', b'{"mod\\u0065l":"n","x":{"model":"a"}}'),
        (b'{"model":"a","y":1,"model":"b"}', b'{"y":1,"model":"n"}'),
        (b'{"y":123456789012345678901234567890,"model":"a"}', None),
        (b'{"text":"x"}', b'{"text":"x"}'),
    ],
)
def test_replace_model(raw: bytes, expected: bytes | None) -> None:
    data = orjson.loads(raw)
    body = CheckedBody(data.get("model", "unknown"), False, data, raw)
    assert replace_model(body, "n") == (expected or raw.replace(b'"a"', b'"n"'))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b' { "a" : 1 }\n', b' { "a" : 1 ,"k":7}\n'),
        (b"{}", b'{"k":7}'),
        (b' { "k" : [1, 2] , "a" : 1.0 } ', b' { "k" : 7 , "a" : 1.0 } '),
        (b'{"a":{"k":1},"k":null}', b'{"a":{"k":1},"k":7}'),
        (b'{"a":{"k":1}}', b'{"a":{"k":1},"k":7}'),
        (b'{"k":1,"a":2,"k":3}', b'{"a":2,"k":7}'),
    ],
)
def test_set_field(raw: bytes, expected: bytes) -> None:
    assert set_field(CheckedBody("m", False, orjson.loads(raw), raw), "k", b"7") == expected


def test_edit() -> None:
    raw = b' { "a" : 1.50 , "b":"x\\\\" ,"c":[{"b":2},"]"], "b" : null } '
    assert edit(raw, {}) == b'{"a" : 1.50,"b":"x\\\\","c":[{"b":2},"]"],"b" : null}'
    assert edit(raw, {"b": b"7", "d": b"{}"}) == b'{"a" : 1.50,"c":[{"b":2},"]"],"b" : 7,"d":{}}'
    assert edit(raw, {"a": None, "b": None, "c": None, "z": None}) == b"{}"
    assert edit(b"{}", {"a": b"1"}) == b'{"a":1}'


def test_reading_parts() -> None:
    raw = b'{"a":[1],"a":[ 1e5 , "x,]" ,{"b":[]}, true ]}'
    value = member_value(raw, "a")
    assert array_items(value) == [b"1e5", b'"x,]"', b'{"b":[]}', b"true"]
    assert array_items(b"[ ]") == []
    assert member_value(raw, "zzz") == b"null"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"z":1}', b'{"z":1,"a":7,"b":[]}'),
        (b"{}", b'{"a":7,"b":[]}'),
        (b'{"b": 1 ,"z":{"a":2}}', b'{"b": [] ,"z":{"a":2},"a":7}'),
        (b'{"b":1,"a":2,"z":1.50}', b'{"b":[],"a":7,"z":1.50}'),
        (b'{"gone":1,"z":1.50}', b'{"z":1.50,"a":7,"b":[]}'),
    ],
)
def test_set_fields(raw: bytes, expected: bytes) -> None:
    body = CheckedBody("m", False, orjson.loads(raw), raw)
    assert set_fields(body, {"a": b"7", "b": b"[]", "gone": None}) == expected


def test_set_fields_to_nothing() -> None:
    body = CheckedBody("m", False, {"z": 1}, b'{"z" : 1}')
    assert set_fields(body, {"a": None}) == set_fields(body, {}) == b'{"z" : 1}'


def test_known_value() -> None:
    raw = b'{"x":{"a":1},"a" : [ 1.0 ],"y":"\\"a\\":2"}'
    assert known_value(raw, "a") == b"[ 1.0 ]"
    assert known_value(b'{"a":1,"\\u0061":2}', "a") == b"2"
