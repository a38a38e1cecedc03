# cython: language_level=3, boundscheck=False, wraparound=False
"""Follows the body of one HTTP/1.1 message through any cut of its bytes (RFC 9112 section 7.1).

The relay writes a worker's bytes to the client as they arrive; this class only tells how many of them belong to the
message, whether the message has ended, and whether the stream stands between two SSE frames, so that a frame of ours
may be inserted there. Strict: a bare LF, a missing size digit or an oversized line is an error, never a guess.
The plain twin that the tests use as oracle is tests/unit/speedups/framing_plain.py.
"""

from libc.stdint cimport int64_t

LENGTH = 0
CHUNKED = 1
UNTIL_CLOSE = 2

# A chunk of 2**56 bytes is an attack or a bug; lines are bounded like a request head.
cdef int64_t MAX_CHUNK = <int64_t>1 << 56
cdef int MAX_EXTENSION = 4096
cdef int MAX_TRAILER = 16384


class FramingError(ValueError):
    """The peer's bytes are not a valid message body."""


cdef inline int hex_value(unsigned char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    if 65 <= c <= 70:
        return c - 55
    if 97 <= c <= 102:
        return c - 87
    return -1


cdef class BodyTracker:
    """Tracks one body. `mode`: LENGTH (then `length` is its size in bytes), CHUNKED or UNTIL_CLOSE.

    `complete`: the last byte of the message was seen. `payload_bytes`: body bytes so far, framing not counted.
    """

    def __init__(self, int mode, int64_t length=0):
        self.mode = mode
        self.left = length
        self.payload_bytes = 0
        self.line = 0
        self.tail = 0
        self.complete = False
        if mode == 1:
            self.state = SIZE_FIRST
            self.left = 0
        elif mode == 0:
            self.state = RAW
            if length == 0:
                self.state = DONE
                self.complete = True
        else:
            self.state = RAW

    @property
    def at_chunk_boundary(self):
        """True between two chunks (or anywhere, when the body is not chunked)."""
        return self.state == SIZE_FIRST or (self.mode != 1 and self.state != FAILED)

    @property
    def at_frame_boundary(self):
        """True when the payload so far is empty or ends with a blank line, so an SSE frame may follow."""
        if self.state == FAILED:
            return False
        if self.payload_bytes == 0:
            return True
        return ((self.tail & 0xFFFF) == 0x0A0A or self.tail == 0x0D0A0D0A
                or (self.tail & 0xFFFF) == 0x0D0D)

    cdef void saw(self, const unsigned char* p, int64_t n) noexcept nogil:
        """Remembers the last four payload bytes."""
        cdef int64_t i = n - 4 if n > 4 else 0
        self.payload_bytes += n
        while i < n:
            self.tail = (self.tail << 8) | p[i]
            i += 1

    cdef Py_ssize_t scan(self, const unsigned char* p, Py_ssize_t size, list pieces) except -1:
        """Advance over `size` bytes; returns how many belong to the message. `pieces` collects payload."""
        cdef Py_ssize_t i = 0
        cdef int64_t n
        cdef int value
        cdef unsigned char c
        if self.state == DONE:
            return 0
        if self.state == FAILED:
            raise FramingError("the body already failed")
        if self.mode == 0:
            n = size if size < self.left else self.left
            self.saw(p, n)
            self.left -= n
            if pieces is not None and n:
                pieces.append(p[:n])
            if self.left == 0:
                self.state = DONE
                self.complete = True
            return n
        if self.mode == 2:
            self.saw(p, size)
            if pieces is not None and size:
                pieces.append(p[:size])
            return size
        while i < size:
            if self.state == DATA:
                n = size - i
                if n > self.left:
                    n = self.left
                self.saw(p + i, n)
                if pieces is not None:
                    pieces.append(p[i:i + n])
                self.left -= n
                i += n
                if self.left == 0:
                    self.state = DATA_CR
                continue
            c = p[i]
            i += 1
            if self.state == SIZE_FIRST:
                value = hex_value(c)
                if value < 0:
                    raise FramingError("chunk size expected")
                self.left = value
                self.line = 0
                self.state = SIZE
            elif self.state == SIZE:
                value = hex_value(c)
                if value >= 0:
                    self.left = self.left * 16 + value
                    if self.left > MAX_CHUNK:
                        raise FramingError("chunk size too large")
                    self.line += 1
                    if self.line > 32:
                        raise FramingError("chunk size too long")
                elif c == 13:
                    self.state = SIZE_LF
                elif c == 59:
                    self.line = 0
                    self.state = EXTENSION
                elif c == 32 or c == 9:
                    self.line = 0
                    self.state = SIZE_SPACE
                else:
                    raise FramingError("bad character in a chunk size")
            elif self.state == SIZE_SPACE:
                # Some servers pad the size. Other text after the padding is read differently by others.
                self.line += 1
                if c == 13:
                    self.state = SIZE_LF
                elif c == 59:
                    self.state = EXTENSION
                elif c != 32 and c != 9:
                    raise FramingError("bad character in a chunk size")
                elif self.line > MAX_EXTENSION:
                    raise FramingError("chunk extension too long")
            elif self.state == EXTENSION:
                if c == 13:
                    self.state = SIZE_LF
                elif c == 10 or c == 0:
                    raise FramingError("bad character in a chunk extension")
                else:
                    self.line += 1
                    if self.line > MAX_EXTENSION:
                        raise FramingError("chunk extension too long")
            elif self.state == SIZE_LF:
                if c != 10:
                    raise FramingError("line feed expected after a chunk size")
                if self.left:
                    self.state = DATA
                else:
                    self.line = 0
                    self.state = TRAILER_FIRST
            elif self.state == DATA_CR:
                if c != 13:
                    raise FramingError("chunk data longer than its size")
                self.state = DATA_LF
            elif self.state == DATA_LF:
                if c != 10:
                    raise FramingError("line feed expected after chunk data")
                self.state = SIZE_FIRST
            elif self.state == TRAILER_FIRST:
                if c == 13:
                    self.state = LAST_LF
                elif c == 10 or c == 0:
                    raise FramingError("bad character in trailers")
                else:
                    self.line += 1
                    self.state = TRAILER
            elif self.state == TRAILER:
                if c == 13:
                    self.state = TRAILER_LF
                elif c == 10 or c == 0:
                    raise FramingError("bad character in trailers")
                self.line += 1
                if self.line > MAX_TRAILER:
                    raise FramingError("trailers too long")
            elif self.state == TRAILER_LF:
                if c != 10:
                    raise FramingError("line feed expected in trailers")
                self.state = TRAILER_FIRST
            else:  # LAST_LF
                if c != 10:
                    raise FramingError("line feed expected at the end")
                self.state = DONE
                self.complete = True
                return i
        return i

    cpdef Py_ssize_t feed(self, bytes data) except -1:
        """Advance; returns how many bytes of `data` belong to this message. Raises FramingError."""
        try:
            return self.scan(data, len(data), None)
        except FramingError:
            # What was scanned before the fault is not relayed: the state no longer tells where the client stands.
            self.state = FAILED
            raise

    cpdef tuple decode(self, bytes data):
        """As `feed`, and the payload among those bytes with the chunk framing removed."""
        cdef list pieces = []
        cdef Py_ssize_t used
        try:
            used = self.scan(data, len(data), pieces)
        except FramingError:
            self.state = FAILED
            raise
        if len(pieces) == 1:
            return used, pieces[0]
        return used, b"".join(pieces)

    cpdef bint close(self) except -1:
        """The peer closed the connection. True when that is a proper end of this body."""
        if self.mode == 2 and self.state != FAILED:
            self.state = DONE
            self.complete = True
        return self.complete
