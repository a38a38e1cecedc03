# cython: language_level=3, boundscheck=False, wraparound=False
"""Builds the head of a request to a worker in one buffer: the allow-listed headers of the client and what we set.

The rules (which names, whose credential) are `smg.backends.http.headers`; here is only the copying.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from smg._speedups.put cimport put, put_bytes, put_number

#: one object everywhere: a name is found among others for a third if it is the same one
TRACEPARENT = b"traceparent"

cdef bytes PREFIX = b"x-request-id-"
cdef Py_ssize_t PREFIX_SIZE = 13


cdef enum:
    MARKS = 16


cdef inline bint is_sent(bytes name, frozenset names) except -1:
    return name in names or (
        PyBytes_GET_SIZE(name) >= PREFIX_SIZE
        and memcmp(PyBytes_AS_STRING(name), PyBytes_AS_STRING(PREFIX), PREFIX_SIZE) == 0
    )


cdef inline char* put_header(char* at, tuple pair) except NULL:
    at = put_bytes(at, <bytes>pair[0])
    at = put(at, ": ", 2)
    at = put_bytes(at, <bytes>pair[1])
    return put(at, "\r\n", 2)


cpdef bytes request_head(bytes prefix, list headers, frozenset names, bytes request_id, bytes authorization,
                         bint keep_credential, Py_ssize_t length):
    """`prefix` (request line and constant lines), the forwarded headers, `x-request-id`, one `authorization`,
    `content-length` and the empty line.

    `headers`: (lower-case name, value) pairs; those in `names` or named `x-request-id-*` are sent on.
    `authorization`: a whole line or nothing; with `keep_credential` the client's own one takes its place.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(prefix) + PyBytes_GET_SIZE(request_id) + PyBytes_GET_SIZE(authorization)
    cdef bytes name, out
    cdef bytes credential = None
    cdef tuple pair
    cdef char* at
    cdef char number[24]
    cdef Py_ssize_t digits
    cdef Py_ssize_t n
    cdef Py_ssize_t place, count = len(headers)
    # the places of headers that are sent on; a request has few, and all are looked at twice if there are more
    cdef Py_ssize_t kept = 0, turn
    cdef Py_ssize_t[MARKS] places
    for place in range(count):
        pair = <tuple>headers[place]
        name = <bytes>pair[0]
        if is_sent(name, names):
            if kept < MARKS:
                places[kept] = place
            kept += 1
            size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(<bytes>pair[1]) + 4
        elif keep_credential and name == b"authorization":
            credential = <bytes>pair[1]
            size += PyBytes_GET_SIZE(credential) + 17
    digits = put_number(number, length) - number
    size += 16 + 18 + digits + 4
    out = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(out)
    at = put_bytes(at, prefix)
    at = put(at, "x-request-id: ", 14)
    at = put_bytes(at, request_id)
    at = put(at, "\r\n", 2)
    if kept <= MARKS:
        for turn in range(kept):
            at = put_header(at, <tuple>headers[places[turn]])
    else:
        for pair in headers:
            if is_sent(<bytes>pair[0], names):
                at = put_header(at, pair)
    if credential is not None:
        at = put(at, "authorization: ", 15)
        at = put_bytes(at, credential)
        at = put(at, "\r\n", 2)
    else:
        at = put_bytes(at, authorization)
    at = put(at, "content-length: ", 16)
    at = put(at, number, digits)
    at = put(at, "\r\n\r\n", 4)
    n = at - PyBytes_AS_STRING(out)
    return out if n == size else out[:n]


cpdef bytes length_line(Py_ssize_t length):
    """The `content-length` line of `length` bytes; formatting bytes in Python takes ten times as long."""
    cdef char line[48]
    cdef char* at = put_number(put(line, "content-length: ", 16), length)
    return PyBytes_FromStringAndSize(line, put(at, "\r\n", 2) - line)


cpdef Py_ssize_t query_mark(bytes target) noexcept:
    """Where the query of a request target begins, at its question mark; -1 without one."""
    cdef const char* begin = PyBytes_AS_STRING(target)
    cdef const char* found = <const char*>memchr(begin, c'?', PyBytes_GET_SIZE(target))
    return -1 if found is NULL else found - begin
