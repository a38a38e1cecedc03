# cython: boundscheck=False, wraparound=False
"""Where the members of a JSON object lie, and where a value ends.

For bytes that a JSON parser has accepted; nothing is checked again, but nothing outside is read
either. Strings are crossed by `memchr`, so a long prompt costs no more than being looked at.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr


cdef inline Py_ssize_t skip(const unsigned char* p, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    while at < size and (p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9):
        at += 1
    return at


cdef Py_ssize_t string_end(const unsigned char* p, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """The index after the string whose opening quote is at `at`."""
    cdef const void* hit
    cdef Py_ssize_t back
    while True:
        at += 1
        hit = memchr(p + at, 34, size - at) if at < size else NULL
        if hit == NULL:
            return size
        at = <const unsigned char*> hit - p
        back = at - 1
        while p[back] == 92:  # the opening quote ends this at the latest
            back -= 1
        if (at - back) % 2:  # an even number of backslashes before it: it closes
            return at + 1


cdef Py_ssize_t end_of(const unsigned char* p, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t depth = 0
    cdef unsigned char c = p[at]
    if c == 34:
        return string_end(p, at, size)
    if c != 123 and c != 91:
        while at < size and not (
            c == 44 or c == 93 or c == 125 or c == 32 or c == 10 or c == 13 or c == 9
        ):
            at += 1
            if at < size:
                c = p[at]
        return at
    while at < size:
        c = p[at]
        if c == 34:
            at = string_end(p, at, size)
            continue
        at += 1
        if c == 123 or c == 91:
            depth += 1
        elif c == 125 or c == 93:
            depth -= 1
            if depth == 0:
                break
    return at


def value_end(bytes raw not None, Py_ssize_t start):
    """The index after the value that begins at `start`, whatever its depth."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    if not 0 <= start < size:
        raise IndexError("no value begins there")
    return end_of(<const unsigned char*> PyBytes_AS_STRING(raw), start, size)


def skip_space(bytes raw not None, Py_ssize_t at):
    """The index of the next byte that is no white space."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    if not 0 <= at <= size:
        raise IndexError("outside")
    return skip(<const unsigned char*> PyBytes_AS_STRING(raw), at, size)


def spans(bytes raw not None, Py_ssize_t start=0):
    """(key's opening quote, behind its closing one, value, behind it) of each member of the object
    that opens at `start` or after white space there, repeated keys included.
    """
    cdef const unsigned char* p = <const unsigned char*> PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    cdef Py_ssize_t at, key_end, value, end
    cdef list found = []
    if start < 0:
        raise IndexError("outside")
    at = skip(p, skip(p, start, size) + 1, size)
    while at < size and p[at] == 34:
        key_end = string_end(p, at, size)
        value = skip(p, skip(p, key_end, size) + 1, size)
        if value >= size:
            break
        end = end_of(p, value, size)
        found.append((at, key_end, value, end))
        at = skip(p, end, size)
        if at >= size or p[at] != 44:
            break
        at = skip(p, at + 1, size)
    return found
