# cython: language_level=3, boundscheck=False, wraparound=False
"""Parses the head of a worker's answer in one pass and keeps what the relay sends on (RFC 9112 sections 4 and 5).

Twenty thousand heads a second made this the largest single cost of a small request; one pass in C replaces a callback
per header and a loop over them. Strict where leniency would let two readers of the same bytes disagree: line ends,
field names, lengths, codings. The oracle in the tests is httptools.
"""

from libc.stdint cimport int64_t
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef enum:
    LENGTH = 0
    CHUNKED = 1
    UNTIL_CLOSE = 2


class HeadError(ValueError):
    """Not a head we can pass on."""


cdef bint token_table[256]


cdef void fill_table() noexcept:
    cdef int i
    for i in range(256):
        token_table[i] = False
    for c in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        token_table[c] = True


fill_table()


cdef inline bint same(const unsigned char* p, Py_ssize_t n, const char* name, Py_ssize_t size) noexcept nogil:
    """Whether `p[:n]` equals the lower-case `name`, in any case."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if n != size:
        return False
    for i in range(n):
        c = p[i]
        if 65 <= c <= 90:
            c += 32
        if c != <unsigned char>name[i]:
            return False
    return True


cdef bint has_token(const unsigned char* p, Py_ssize_t n, const char* token, Py_ssize_t size) noexcept nogil:
    """Whether the comma list `p[:n]` has `token`."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t begin, end
    while i < n:
        while i < n and (p[i] == 32 or p[i] == 9 or p[i] == 44):
            i += 1
        begin = i
        while i < n and p[i] != 44:
            i += 1
        end = i
        while end > begin and (p[end - 1] == 32 or p[end - 1] == 9):
            end -= 1
        if same(p + begin, end - begin, token, size):
            return True
    return False


cdef class ReplyHead:
    """A parsed head. `lines`: header lines to send on, each with its CRLF; hop-by-hop, framing and our own headers are
    left out. `mode` and `length` (bytes): how the body ends, as in `framing`."""

    @property
    def headers(self):
        """The lines as (lower-case name, value) pairs; for slow paths."""
        pairs = []
        for line in self.lines.split(b"\r\n"):
            if line:
                name, _, value = line.partition(b":")
                pairs.append((name.lower(), value.strip(b" \t")))
        return pairs


cdef int parse_length(const unsigned char* p, Py_ssize_t n, int64_t* out) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t value = 0
    if n == 0 or n > 18:
        return -1
    for i in range(n):
        if p[i] < 48 or p[i] > 57:
            return -1
        value = value * 10 + (p[i] - 48)
    out[0] = value
    return 0


cpdef ReplyHead parse_reply_head(bytes data, Py_ssize_t end, int max_headers):
    """Parse `data[:end]`, which ends with the empty line. Raises HeadError."""
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef ReplyHead head = ReplyHead.__new__(ReplyHead)
    cdef Py_ssize_t i = 0, name_begin, name_size, begin, stop, line_begin
    cdef int64_t length = -1
    cdef bint chunked = False, http10, close = False, keep = False, kept
    cdef int count = 0
    cdef bytes out
    cdef char* w
    cdef Py_ssize_t used = 0
    cdef unsigned char c
    if end > len(data) or end < 16:
        raise HeadError("head too short")
    if not (p[0] == 72 and p[1] == 84 and p[2] == 84 and p[3] == 80 and p[4] == 47 and p[5] == 49 and p[6] == 46
            and (p[7] == 48 or p[7] == 49) and p[8] == 32):
        raise HeadError("bad status line")
    http10 = p[7] == 48
    for i in range(9, 12):
        if p[i] < 48 or p[i] > 57:
            raise HeadError("bad status code")
    head.status = (p[9] - 48) * 100 + (p[10] - 48) * 10 + (p[11] - 48)
    if p[12] != 32 and p[12] != 13:
        raise HeadError("bad status line")
    i = 12
    while i < end and p[i] != 13:
        if p[i] == 10 or p[i] == 0:
            raise HeadError("bad character in the status line")
        i += 1
    if i + 1 >= end or p[i + 1] != 10:
        raise HeadError("bad end of the status line")
    i += 2
    out = PyBytes_FromStringAndSize(NULL, end)
    w = PyBytes_AS_STRING(out)
    while True:
        if i + 1 >= end:
            raise HeadError("head not complete")
        if p[i] == 13:
            if p[i + 1] != 10:
                raise HeadError("bare carriage return")
            break
        count += 1
        if count > max_headers:
            raise HeadError("too many headers")
        line_begin = i
        while i < end and token_table[p[i]]:
            i += 1
        name_size = i - line_begin
        if name_size == 0 or i >= end or p[i] != 58:
            raise HeadError("bad header name")
        i += 1
        while i < end and (p[i] == 32 or p[i] == 9):
            i += 1
        begin = i
        while i < end and p[i] != 13:
            c = p[i]
            if c == 10 or c == 0 or (c < 32 and c != 9) or c == 127:
                raise HeadError("bad character in a header value")
            i += 1
        if i + 1 >= end or p[i + 1] != 10:
            raise HeadError("bad end of a header line")
        stop = i
        while stop > begin and (p[stop - 1] == 32 or p[stop - 1] == 9):
            stop -= 1
        i += 2
        kept = True
        name_begin = line_begin
        if name_size == 10:
            if same(p + name_begin, 10, "connection", 10):
                kept = False
                close = close or has_token(p + begin, stop - begin, "close", 5)
                keep = keep or has_token(p + begin, stop - begin, "keep-alive", 10)
            elif same(p + name_begin, 10, "keep-alive", 10):
                kept = False
        elif name_size == 14:
            if same(p + name_begin, 14, "content-length", 14):
                kept = False
                if length >= 0:
                    raise HeadError("repeated content-length")
                if parse_length(p + begin, stop - begin, &length) < 0:
                    raise HeadError("bad content-length")
        elif name_size == 17:
            if same(p + name_begin, 17, "transfer-encoding", 17):
                kept = False
                if chunked or http10 or not same(p + begin, stop - begin, "chunked", 7):
                    raise HeadError("unknown transfer coding")
                chunked = True
        elif name_size == 12:
            if same(p + name_begin, 12, "content-type", 12):
                head.event_stream = stop - begin >= 17 and same(p + begin, 17, "text/event-stream", 17)
            elif same(p + name_begin, 12, "x-request-id", 12):
                kept = False
        elif name_size == 7:
            kept = not (same(p + name_begin, 7, "trailer", 7) or same(p + name_begin, 7, "upgrade", 7))
        elif name_size == 22:
            kept = not (same(p + name_begin, 22, "x-smg-routed-worker-id", 22)
                        or same(p + name_begin, 22, "x-smg-routing-decision", 22))
        elif name_size == 2:
            kept = not same(p + name_begin, 2, "te", 2)
        elif name_size == 4:
            kept = not same(p + name_begin, 4, "host", 4)
        elif name_size == 8:
            kept = not same(p + name_begin, 8, "trailers", 8)
        elif name_size == 16:
            kept = not same(p + name_begin, 16, "proxy-connection", 16)
        elif name_size == 18:
            kept = not same(p + name_begin, 18, "proxy-authenticate", 18)
        elif name_size == 19:
            kept = not same(p + name_begin, 19, "proxy-authorization", 19)
        if kept:
            for line_begin in range(line_begin, i):
                w[used] = <char>p[line_begin]
                used += 1
    if chunked and length >= 0:
        raise HeadError("both content-length and transfer-encoding")
    if i + 2 != end:
        raise HeadError("bytes after the head")
    if chunked:
        head.mode = CHUNKED
        head.length = 0
    elif length >= 0:
        head.mode = LENGTH
        head.length = length
    else:
        head.mode = UNTIL_CLOSE
        head.length = 0
    head.keep_alive = keep and not close if http10 else not close
    head.lines = out[:used]
    return head
