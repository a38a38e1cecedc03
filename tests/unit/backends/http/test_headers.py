"""Which request headers reach a worker (http-api 5.1)."""

from __future__ import annotations

import pytest

from smg.auth.keys import credentials
from smg.backends.http.headers import ForwardRules

ID = b"x-request-id: effective\r\n"
WORKER = b"authorization: Bearer worker\r\n"


def lines(*headers: tuple[bytes, bytes], rules: ForwardRules | None = None, key=b"") -> bytes:
    head = (rules or ForwardRules()).head(b"", list(headers), b"effective", key, 0)
    assert head.endswith(b"content-length: 0\r\n\r\n")
    return head[: -len(b"content-length: 0\r\n\r\n")]


@pytest.mark.parametrize(
    ("name", "forwarded"),
    [
        (b"x-correlation-id", True),
        (b"traceparent", True),
        (b"tracestate", True),
        (b"x-smg-routing-key", True),
        (b"x-request-id-foo", True),
        (b"x-request-id-", True),
        (b"x-request-idfoo", False),
        (b"cookie", False),
        (b"accept", False),
        (b"user-agent", False),
        (b"x-forwarded-for", False),
        (b"x-custom", False),
        (b"x-smg-target-worker", False),
        (b"x-smg-tenant-id", False),
        (b"x-api-key", False),
        (b"api-key", False),
        (b"x-goog-api-key", False),
        (b"host", False),
        (b"content-type", False),
        (b"content-length", False),
        (b"transfer-encoding", False),
        (b"connection", False),
        (b"expect", False),
        (b"proxy-authorization", False),
    ],
)
def test_the_list(name, forwarded):
    expected = ID + name + b": value\r\n" if forwarded else ID
    assert lines((name, b"value")) == expected


def test_the_id_is_the_effective_one():
    assert lines((b"x-request-id", b"of the client"), (b"x-trace-id", b"t")) == ID


def test_order_and_repetition_are_kept():
    found = lines((b"tracestate", b"1"), (b"traceparent", b"2"), (b"tracestate", b"3"))
    assert found == ID + b"tracestate: 1\r\ntraceparent: 2\r\ntracestate: 3\r\n"


@pytest.mark.parametrize("count", [15, 16, 17, 200])
def test_however_many_there_are(count):
    headers = [(b"x-request-id-%d" % number, b"%d" % number) for number in range(count)]
    between = [pair for header in headers for pair in (header, (b"cookie", b"no"))]
    sent = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    assert lines(*between) == ID + sent


@pytest.mark.parametrize("caller", [None, b"Bearer caller", b"bearer gateway", b"Basic abc"])
@pytest.mark.parametrize("key", [b"", WORKER])
@pytest.mark.parametrize("consumes", [False, True])
def test_exactly_one_authorization(caller, key, consumes):
    headers = [] if caller is None else [(b"authorization", caller)]
    found = lines(*headers, rules=ForwardRules(consumes_credentials=consumes), key=key)
    if caller is None or consumes:
        assert found == ID + key
    else:
        assert found == ID + b"authorization: " + caller + b"\r\n"


def test_of_several_authorizations_one_is_sent():
    headers = [(b"authorization", b"a"), (b"authorization", b"b")]
    assert lines(*headers, key=WORKER).count(b"authorization: ") == 1


def test_names_of_the_operator():
    rules = ForwardRules(["X-Custom", "user-agent"])
    headers = [(b"x-custom", b"1"), (b"user-agent", b"2"), (b"x-other", b"3")]
    assert lines(*headers, rules=rules) == ID + b"x-custom: 1\r\nuser-agent: 2\r\n"


@pytest.mark.parametrize(
    "name",
    [
        *["Host", "Content-Length", "content-type", "Transfer-Encoding", "connection", "TE"],
        *["Keep-Alive", "upgrade", "trailer", "expect", "proxy-authorization", "x-request-id"],
    ],
)
def test_what_an_operator_cannot_add(name):
    assert lines((name.lower().encode(), b"v"), rules=ForwardRules([name])) == ID


PLACES = [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"]


@pytest.mark.parametrize("name", PLACES)
def test_the_key_of_the_gateway_is_never_sent_on(name):
    """In every place where the gateway looks for it, even if the operator forwards that header."""
    header = (name, b"Bearer gateway" if name == b"authorization" else b"gateway")
    assert list(credentials([header])) == [b"gateway"]
    rules = ForwardRules([place.decode() for place in PLACES], consumes_credentials=True)
    assert lines(header, rules=rules) == ID
    assert lines(header, rules=rules, key=WORKER) == ID + WORKER


def test_without_a_key_of_its_own_the_gateway_forwards_what_it_is_told_to():
    rules = ForwardRules(["x-api-key"])
    assert (
        lines((b"x-api-key", b"of the caller"), rules=rules) == ID + b"x-api-key: of the caller\r\n"
    )
