"""The quick way of the access log against the way of all other lines."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from smg.observability import access_lines
from smg.observability.access_lines import Entry, JsonLines, as_line
from smg.observability.access_log import AccessLog
from smg.observability.log_batch import BatchFormat
from smg.observability.log_format import JsonFormat, Line, Redactor
from smg.observability.log_queue import DailyFileSink
from smg.observability.logging import configure

DAY = 86_400.0


def entry(
    created: float = 1_700_000_000.25,
    uri: bytes = b"/v1/chat/completions",
    request_id: bytes = b"req-1",
    status: int = 0,
) -> Entry:
    return created, logging.INFO, status, 7 if status else 0, b"POST", uri, b"HTTP/1.1", request_id


@pytest.mark.parametrize("status", [0, 200, 503])
@pytest.mark.parametrize("request_id", [b"req-1", b"", b'qu"ote', b"back\\", b"\xff\n", b"\x7f"])
@pytest.mark.parametrize(
    "uri", [b"/a", b'/"\\', b"/\xc3\xa9\xff", b"/?token=t&b=1", b"/" + b"x" * 300]
)
def test_both_ways_write_the_same(uri: bytes, request_id: bytes, status: int):
    plain = JsonFormat(Redactor()).unredacted
    quick = JsonLines(plain)
    # Twice: what was kept of the first is used for the second, in another second and millisecond.
    for created in (1_700_000_000.25, 1_700_000_000.999, 1_700_000_001.0009, 1_700_000_061.04):
        made = entry(created, uri, request_id, status)
        assert quick.text(made) == plain(as_line(made))


def test_lines_that_differ_from_the_one_before():
    plain = JsonFormat(Redactor()).unredacted
    quick = JsonLines(plain)
    usual = entry()
    created, level, _, _, method, uri, version, request_id = usual
    others: list[Entry] = [
        (created, level, 200, 9, method, uri, version, request_id),
        (created, level, 0, 0, method, b"/\xc3\xa9", version, request_id),
        (created, level, 0, 0, b"GET", uri, version, request_id),
        (created, level, 0, 0, method, uri, b"HTTP/1.0", request_id),
        (created, logging.DEBUG, 0, 0, method, uri, version, request_id),
        (created, logging.WARNING, 404, 2**40, method, uri, version, request_id),
    ]
    for other in others:
        for made in (usual, usual, other, usual, other):
            assert quick.text(made) == plain(as_line(made))


def test_what_clients_choose_is_kept_within_bounds():
    quick = JsonLines(JsonFormat(Redactor()).unredacted)
    for number in range(3 * access_lines._KEPT):
        assert json.loads(quick.text(entry(uri=b"/%d" % number)))["uri"] == f"/{number}"
    quick.text(entry(uri=b"/" + b"x" * 1000))
    assert all(len(key[1]) <= access_lines._SHORT for key in quick._middles)
    assert 0 < len(quick._middles) <= access_lines._KEPT


def test_a_secret_in_one_line_of_a_batch():
    redact = Redactor()
    redact.add("sk-secret", 'a"b\\c')
    other = Line(1.0, logging.INFO, "smg", "x.py", 1, "key sk-secret", {})
    lines = [
        entry(),
        entry(uri=b"/sk-secret"),
        other,
        entry(request_id=b"x-sk-secret-y"),
        entry(request_id=b'a"b\\c'),
    ]
    texts = BatchFormat(JsonFormat(redact)).texts(lines)
    first, second, third, fourth, fifth = map(json.loads, texts)
    assert first == json.loads(BatchFormat(JsonFormat(redact)).texts(lines[:1])[0])
    assert second["uri"] == "/[redacted]"
    assert third["message"] == "key [redacted]"
    assert fourth["request_id"] == "x-[redacted]-y"
    assert fifth["request_id"] == "[redacted]"


def test_access_lines_at_midnight(tmp_path: Path):
    sink = DailyFileSink(tmp_path, JsonFormat(Redactor()))
    (first,) = tmp_path.iterdir()
    midnight = (sink._day + 1) * DAY
    before, after = entry(midnight - 0.01), entry(midnight)
    sink.write([before, after, before], ["1", "2", "3"])
    sink.write([after], ["4"])
    sink.close()
    assert first.read_text() == "1\n"
    (second,) = set(tmp_path.iterdir()) - {first}
    assert second.read_text() == "2\n3\n4\n"


def test_lines_keep_their_order_beside_others():
    out = io.StringIO()
    handle = configure("info", json=True, environ={}, stream=out)
    try:
        access = AccessLog(handle)
        log = logging.getLogger("smg.test")
        for number in range(300):  # several batches
            access.request_started(b"GET", b"/%d" % number, b"HTTP/1.1", b"r")
            log.info("other %d", number)
        assert handle.flush()
    finally:
        handle.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["uri"] for line in lines[::2]] == [f"/{number}" for number in range(300)]
    assert [line["message"] for line in lines[1::2]] == [f"other {number}" for number in range(300)]
