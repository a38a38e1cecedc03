from __future__ import annotations

import socket

import pytest

from smg.serve import ports


@pytest.fixture
def busy() -> list[int]:
    return []


@pytest.fixture
def fake_free(monkeypatch: pytest.MonkeyPatch, busy: list[int]) -> None:
    monkeypatch.setattr(ports, "is_free", lambda host, port: port not in busy)


@pytest.mark.usefixtures("fake_free")
def test_ports_are_stable_and_skip_busy_and_reserved_ones(busy):
    busy.append(31001)
    assert ports.allocate(3, 31000, "127.0.0.1", {31002}) == [31000, 31003, 31004]
    assert ports.allocate(3, 31000, "127.0.0.1", {31002}) == [31000, 31003, 31004]


@pytest.mark.usefixtures("fake_free")
def test_too_few_ports():
    with pytest.raises(ports.PortError, match="3 free ports"):
        ports.allocate(3, 65534, "127.0.0.1")


def test_a_listening_port_is_not_free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        with pytest.raises(ports.PortError, match=str(port)):
            ports.check_bindable("127.0.0.1", port)
    assert ports.is_free("127.0.0.1", port)


def test_an_unknown_host_is_an_error_and_not_a_busy_port():
    with pytest.raises(ports.PortError, match="cannot resolve"):
        ports.allocate(1, 31000, "no such host.invalid")


@pytest.mark.parametrize(
    ("host", "in_url"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"),
     ("[::1]", "[::1]"), ("worker.local", "worker.local")],
)  # fmt: skip
def test_host_in_a_url(host, in_url):
    assert ports.url_host(host) == in_url
