from __future__ import annotations

import pytest

from smg.sim.faults import BODY_FAULTS, KINDS, FaultBook, FaultError, parse


def test_a_full_specification():
    fault = parse("status=503, retry-after=2, times=3, path=/generate, port=31001")
    assert (fault.kind, fault.value, fault.retry_after) == ("status", 503, 2)
    assert (fault.times, fault.path, fault.port) == (3, "/generate", 31001)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"status"}))
def test_every_kind_reads_without_a_value(kind):
    fault = parse(kind)
    assert fault.kind == kind
    assert fault.in_body == (kind in BODY_FAULTS)


def test_stall_takes_seconds_and_means_for_ever_without():
    assert parse("stall").seconds is None
    assert parse("stall=0.5").seconds == 0.5
    assert parse("stall-after=3,seconds=2").seconds == 2


@pytest.mark.parametrize(
    "spec",
    ["", "nonsense", "status", "status=42", "status=x", "close=1", "cut=-1", "cut,times=x",
     "cut,probability=2", "cut,what=1", "cut,path=health"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(spec):
    with pytest.raises(FaultError):
        parse(spec)


def pick(book: FaultBook, path: str = "/generate", header: bytes | None = None, rid: bytes = b"r"):
    return book.pick(path, header, rid, anywhere=True)


def test_times_and_skip():
    book = FaultBook()
    book.arm("close,times=2,skip=1")
    assert [pick(book) is not None for _ in range(4)] == [False, True, True, False]
    assert book.faults == []


def test_probability_is_repeatable_by_seed():
    def strikes() -> list[bool]:
        book = FaultBook()
        book.arm("close,probability=0.5,seed=7")
        return [pick(book) is not None for _ in range(50)]

    assert strikes() == strikes()
    assert 10 < sum(strikes()) < 40


def test_path_and_port_narrow_it():
    book = FaultBook(port=31000)
    book.arm("close,path=/health")
    book.arm("cut,port=31001")
    assert pick(book) is None
    assert book.pick("/health", None, b"r", anywhere=False) is not None
    assert FaultBook(port=1).pick("/x", b"cut,port=2", b"r", anywhere=True) is None


def test_probes_are_spared_unless_named():
    book = FaultBook()
    book.arm("close")
    assert book.pick("/health", None, b"r", anywhere=False) is None


def test_header_faults_count_per_request_id():
    book = FaultBook()
    header = b"status=500,times=1"
    first = [pick(book, header=header, rid=b"a") is not None for _ in range(3)]
    assert first == [True, False, False]
    assert pick(book, header=header, rid=b"b") is not None


def test_refuse_is_for_connections_not_requests():
    book = FaultBook()
    book.arm("refuse,times=1")
    assert pick(book) is None
    assert [book.refuses(), book.refuses()] == [True, False]
