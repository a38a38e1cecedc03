"""What changes in a chat body on its way to the worker, and nothing else does (http-api 9.3)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import RequestError
from smg.protocols import CHECKERS

HEAD = b'{"model":"m","messages":[{"role":"user","content":"hi"}]'
F = {"name": "f", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": F}


def sent(tail: bytes) -> bytes:
    """What the worker receives; also checks that `data` says the same."""
    checked = CHECKERS["chat"](HEAD + tail, b"application/json")
    assert orjson.loads(checked.raw) == checked.data
    return checked.raw


def fields(**values: Any) -> bytes:
    return (
        b"".join(b",%s:%s" % (orjson.dumps(k), orjson.dumps(v)) for k, v in values.items()) + b"}"
    )


def seen(**values: Any) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(sent(fields(**values)))
    return result


def test_tool_choice_is_appended_to_the_original_bytes() -> None:
    tail = fields(tools=[TOOL]) + b" \n"
    assert sent(tail) == HEAD + fields(tools=[TOOL])[:-1] + b',"tool_choice":"auto"} \n'


def test_empty_tools_mean_none() -> None:  # row 14
    assert seen(tools=[])["tool_choice"] == "none"


def test_a_null_choice_is_replaced_not_repeated() -> None:
    raw = sent(b',"tool_choice" : null,"tools":[],"x":1}')
    assert raw.count(b"tool_choice") == 1
    assert orjson.loads(raw)["tool_choice"] == "none"


def test_a_given_choice_stays() -> None:
    tail = fields(tools=[TOOL], tool_choice="required")
    assert sent(tail) == HEAD + tail


def test_no_tools_no_choice() -> None:
    assert "tool_choice" not in seen(tools=None)


@pytest.mark.parametrize(
    "limits", [{"max_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 7}]
)
def test_limits_go_as_they_came(limits: dict[str, int]) -> None:  # rows 15, 16
    assert sent(fields(**limits)) == HEAD + fields(**limits)


def test_functions_become_tools() -> None:
    tail = (
        b',"functions":[ {"name":"a","x":123456789012345678901234567890} ,{"name":"b"}],"seed":1}'
    )
    raw = sent(tail)
    assert b'"x":123456789012345678901234567890' in raw
    data = orjson.loads(raw)
    assert "functions" not in data
    assert [tool["function"]["name"] for tool in data["tools"]] == ["a", "b"]
    assert all(tool["type"] == "function" for tool in data["tools"])
    assert all(tool["function"]["parameters"] == {} for tool in data["tools"])
    assert data["tool_choice"] == "auto"
    assert data["seed"] == 1


def test_functions_beside_null_tools_and_a_named_call() -> None:
    data = seen(tools=None, functions=[F], function_call={"name": "f"})
    assert data["tools"] == [TOOL]
    assert data["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert "function_call" not in data


@pytest.mark.parametrize("call", ["none", "auto"])
def test_function_call_words(call: str) -> None:
    data = seen(functions=[F], function_call=call)
    assert data["tool_choice"] == call
    assert "function_call" not in data


def test_functions_beside_tools_stay() -> None:
    data = seen(tools=[TOOL], functions=[F], tool_choice="auto", function_call="none")
    assert data["functions"] == [F]
    assert data["function_call"] == "none"


def test_a_call_of_an_unknown_function_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        seen(functions=[F], function_call={"name": "g"})
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("given", "wanted"), [(0.2, "0.2"), (3, "3"), ("low", "low"), (None, None)]
)
def test_reasoning_effort(given: Any, wanted: Any) -> None:  # row 17
    assert seen(reasoning_effort=given)["reasoning_effort"] == wanted


def test_a_tool_without_parameters() -> None:  # row 18
    tools = (
        b'[{"type":"custom"},{"type":"function","function":{ },"strict":1.10},'
        b'{"type":"function","function":{"name":"a}\\"]"}, "k":[1]}]'
    )
    raw = sent(b',"tool_choice":"auto","tools":' + tools + b"}")
    assert b'"strict":1.10' in raw
    data = orjson.loads(raw)
    assert data["tools"][0] == {"type": "custom"}
    assert data["tools"][1]["function"] == {"parameters": {}}
    assert data["tools"][2]["function"] == {"name": 'a}"]', "parameters": {}}


def test_repeated_keys_the_last_one_counts() -> None:
    raw = sent(b',"tools":[],"tools":[{"type":"function","function":{"name":"f"}}],"tools":null}')
    assert raw == HEAD + (
        b',"tools":[],"tools":[{"type":"function","function":{"name":"f"}}],"tools":null}'
    )
    raw = sent(b',"reasoning_effort":true,"x":1,"reasoning_effort":5}')
    assert raw == HEAD + b',"x":1,"reasoning_effort":"5"}'


def test_numbers_are_not_widened_by_a_rewrite() -> None:
    raw = sent(b',"seed":99999999999999999999999,"top_p":0.70,"reasoning_effort":1}')
    assert raw == HEAD + b',"seed":99999999999999999999999,"top_p":0.70,"reasoning_effort":"1"}'


def test_deep_nesting_survives_a_rewrite() -> None:
    deep = b"[" * 900 + b"]" * 900
    raw = CHECKERS["chat"](HEAD + b',"x":' + deep + b',"functions":[]}', b"application/json").raw
    assert deep in raw
