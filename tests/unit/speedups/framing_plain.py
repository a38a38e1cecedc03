"""The plain twin of `smg._speedups.framing.BodyTracker`: one byte at a time, everything kept.

The oracle of the tests, written to be read: slow, and without any state but generators and lists.
"""

from __future__ import annotations

from collections.abc import Generator

LENGTH, CHUNKED, UNTIL_CLOSE = 0, 1, 2

HEX = b"0123456789abcdefABCDEF"
MAX_DIGITS = 33
MAX_CHUNK = 2**56
MAX_EXTENSION = 4097  # with its first character
MAX_TRAILER = 16384

Reader = Generator[None, int, None]


class PlainError(Exception):
    """The peer's bytes are not a valid message body."""


class PlainTracker:
    """Same surface as `BodyTracker`."""

    def __init__(self, mode: int, length: int = 0) -> None:
        self.mode = mode
        self.payload = bytearray()
        self.complete = False
        self.failed = False
        self.between_chunks = True
        self._reader = {0: self._by_length(length), 1: self._chunked(), 2: self._until_close()}[
            mode
        ]
        self._push(None)

    @property
    def payload_bytes(self) -> int:
        return len(self.payload)

    @property
    def at_chunk_boundary(self) -> bool:
        if self.mode == CHUNKED:
            return self.between_chunks and not self.complete and not self.failed
        return not self.failed

    @property
    def at_frame_boundary(self) -> bool:
        if self.failed:
            return False
        return not self.payload or self.payload.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))

    def decode(self, data: bytes) -> tuple[int, bytes]:
        """Bytes of `data` that belong to the message, and the payload among them."""
        if self.failed:
            raise PlainError("failed before")
        before = len(self.payload)
        used = 0
        for byte in data:
            if self.complete:
                break
            self._push(byte)
            used += 1
        return used, bytes(self.payload[before:])

    def feed(self, data: bytes) -> int:
        return self.decode(data)[0]

    def close(self) -> bool:
        if self.mode == UNTIL_CLOSE and not self.failed:
            self.complete = True
        return self.complete

    def _push(self, byte: int | None) -> None:
        try:
            if byte is None:
                next(self._reader)
            else:
                self._reader.send(byte)
        except StopIteration:
            self.complete = True
        except PlainError:
            self.failed = True
            raise

    # -- the three ways a body ends: each `yield` takes one byte -----------------------------------

    def _by_length(self, length: int) -> Reader:
        for _ in range(length):
            self.payload.append((yield))

    def _until_close(self) -> Reader:
        while True:
            self.payload.append((yield))

    def _chunked(self) -> Reader:
        while True:
            size = yield from self._size_line()
            if size == 0:
                break
            for _ in range(size):
                self.payload.append((yield))
            expect((yield), b"\r")
            expect((yield), b"\n")
            self.between_chunks = True
        trailers = 0
        while True:
            byte = yield
            empty = True
            while byte != ord("\r"):
                empty = False
                trailers += 1
                if byte in b"\n\0" or trailers > MAX_TRAILER:
                    raise PlainError("trailer")
                byte = yield
            if not empty:
                trailers += 1
            expect((yield), b"\n")
            if empty:
                return

    def _size_line(self) -> Generator[None, int, int]:
        byte = yield
        digits = ""
        while byte in HEX:
            self.between_chunks = False
            digits += chr(byte)
            if len(digits) > MAX_DIGITS or int(digits, 16) > MAX_CHUNK:
                raise PlainError("size")
            byte = yield
        if not digits:
            raise PlainError("no size")
        extension = ""
        while byte != ord("\r"):
            extension += chr(byte)
            if not extension.strip(" \t").startswith(";") and extension.strip(" \t"):
                raise PlainError("neither padding nor extension")
            if byte in b"\n\0" or len(extension) > MAX_EXTENSION:
                raise PlainError("extension")
            byte = yield
        expect((yield), b"\n")
        return int(digits, 16)


def expect(byte: int, wanted: bytes) -> None:
    """A fixed byte."""
    if byte != wanted[0]:
        raise PlainError(f"{wanted!r} expected")
