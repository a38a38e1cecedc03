"""Keys of the data plane: where they may stand, how they are compared, and for whom they stand
(external-security-wasm 8.1).
"""

from __future__ import annotations

import hashlib
import hmac

import pytest

from smg.auth import keys
from smg.auth.keys import DataKeys, SharedKey, credentials, unauthorized
from smg.wire.errors import error_body

KEY = SharedKey("s3cret key")


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ([(b"authorization", b"Bearer s3cret key")], True),
        ([(b"authorization", b"bearer s3cret key")], True),
        ([(b"authorization", b"BEARER   s3cret key ")], True),
        ([(b"x-api-key", b"s3cret key")], True),
        ([(b"api-key", b"s3cret key")], True),
        ([(b"x-goog-api-key", b" s3cret key ")], True),
        # any of several
        ([(b"authorization", b"Bearer wrong"), (b"x-api-key", b"s3cret key")], True),
        ([(b"x-api-key", b"wrong"), (b"x-api-key", b"s3cret key")], True),
        ([(b"x-api-key", b"s3cret key"), (b"authorization", b"Bearer wrong")], True),
        ([], False),
        ([(b"authorization", b"s3cret key")], False),
        ([(b"authorization", b"Bearer")], False),
        ([(b"authorization", b"Bearer ")], False),
        ([(b"authorization", b"Bearers3cret key")], False),
        ([(b"authorization", b"Basic s3cret key")], False),
        ([(b"authorization", b"Bearer S3CRET KEY")], False),
        ([(b"authorization", b"Bearer s3cret ke")], False),
        ([(b"authorization", b"Bearer s3cret keyy")], False),
        ([(b"authorization", b"Bearer Bearer s3cret key")], False),
        ([(b"x-api-key", b"Bearer s3cret key")], False),
        ([(b"x-api-key", b"")], False),
        ([(b"x-api-key", b"\xff\x00")], False),
        ([(b"cookie", b"s3cret key"), (b"x-key", b"s3cret key")], False),
        ([(b"proxy-authorization", b"Bearer s3cret key")], False),
    ],
)
def test_where_the_key_may_stand(headers, admitted):
    assert KEY.admits(headers) is admitted


def test_digests_are_compared_and_never_the_key(monkeypatch):
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    class Spy:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(keys, "hmac", Spy)
    # Every credential is compared, also behind the right one: time tells nothing.
    assert KEY.admits([(b"x-api-key", b"s3cret key"), (b"api-key", b"x"), (b"api-key", b"y" * 999)])
    assert len(compared) == 3
    assert all(len(left) == len(right) == 32 for left, right in compared)
    assert not any("s3cret" in str(value) for value in vars(KEY).values())


def test_a_key_beyond_ascii():
    assert SharedKey("schlüssel").admits([(b"x-api-key", "schlüssel".encode())])


def test_an_empty_key_is_a_mistake():
    with pytest.raises(ValueError, match="empty"):
        SharedKey("")


def test_credentials_in_order():
    headers = [(b"x-api-key", b"a"), (b"host", b"h"), (b"authorization", b"Bearer b")]
    assert credentials(headers) == [b"a", b"b"]
    assert credentials([]) == credentials([(b"cookie", b"c")]) == []


TENANTS = DataKeys("shared-key", [("acme", "key-of-acme"), ("acme", "next:key"), ("b c", "key-b")])
SHARED = "auth:" + hashlib.sha256(b"shared-key").hexdigest()


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ([(b"authorization", b"Bearer key-of-acme")], "auth:acme"),
        ([(b"authorization", b"bearer next:key")], "auth:acme"),
        ([(b"x-api-key", b"key-b")], "auth:b c"),
        ([(b"api-key", b"shared-key")], SHARED),
        # the first valid one counts, wherever it stands
        ([(b"x-api-key", b"wrong"), (b"api-key", b"key-b")], "auth:b c"),
        ([(b"x-api-key", b"key-b"), (b"api-key", b"shared-key")], "auth:b c"),
        ([], None),
        ([(b"x-api-key", b"")], None),
        ([(b"x-api-key", b"acme")], None),
        ([(b"x-api-key", b"acme:key-of-acme")], None),
        ([(b"x-api-key", b"key-of-acm")], None),
        ([(b"x-api-key", b"key-of-acmee")], None),
        ([(b"x-api-key", hashlib.sha256(b"key-b").digest())], None),
        ([(b"x-api-key", hashlib.sha256(b"key-b").hexdigest().encode())], None),
    ],
)
def test_for_whom_a_key_stands(headers, identity):
    assert TENANTS.identity(headers) == identity


def test_tenants_without_a_shared_key():
    keys_ = DataKeys(None, [("a", "key-of-a")])
    assert keys_.identity([(b"x-api-key", b"key-of-a")]) == "auth:a"
    assert keys_.identity([(b"x-api-key", b"None")]) is None


def test_no_key_is_kept():
    assert not any("key" in repr(value) for value in vars(TENANTS).values())


@pytest.mark.parametrize(
    ("shared", "tenants"),
    [("", []), ("k", [("a", "")]), ("k", [("a", "k")]), (None, [("a", "k"), ("b", "k")])],
)
def test_malformed_keys_are_a_mistake(shared, tenants):
    with pytest.raises(ValueError, match="empty or given twice"):
        DataKeys(shared, tenants)


def test_the_answer():
    error = unauthorized()
    assert (error.status, error.code, error.type) == (
        401,
        "invalid_api_key",
        "invalid_request_error",
    )
    assert error.headers == ((b"www-authenticate", b"Bearer"),)
    assert error.message == "Invalid or missing API key"


def test_the_answer_of_the_messages_api():
    error = unauthorized(messages=True)
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert error.headers == ((b"www-authenticate", b"Bearer"),)
    assert error_body(error) == (
        b'{"type":"error","error":{"type":"authentication_error",'
        b'"message":"Invalid or missing API key"}}'
    )
