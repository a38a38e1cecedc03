# cython: boundscheck=False, wraparound=False
"""Token ids as JSON.

A long prompt has tens of thousands. The event loop stands still while a thread holds the interpreter's lock, so they
are written without it.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t


cdef Py_ssize_t written_size(const uint32_t* ids, Py_ssize_t count) noexcept nogil:
    """The bytes of the JSON array."""
    cdef Py_ssize_t i, size = 2 + (count - 1 if count else 0)
    cdef uint32_t number
    for i in range(count):
        number = ids[i]
        size += 1
        while number >= 10:
            number //= 10
            size += 1
    return size


cdef void write(const uint32_t* ids, Py_ssize_t count, char* out, Py_ssize_t size) noexcept nogil:
    """Fill `out` from its end: digits come out that way."""
    cdef Py_ssize_t i, at = size - 1
    cdef uint32_t number
    out[at] = 93
    for i in range(count - 1, -1, -1):
        number = ids[i]
        while True:
            at -= 1
            out[at] = <char> (48 + number % 10)
            number //= 10
            if number == 0:
                break
        if i:
            at -= 1
            out[at] = 44
    out[0] = 91


def as_json(array.array ids not None):
    """An `array("I")` as a JSON array, without blanks. Other threads run meanwhile: they must not change it."""
    if ids.ob_descr.itemsize != sizeof(uint32_t):
        raise TypeError("ids are an array of type I")
    cdef Py_ssize_t count = len(ids)
    cdef const uint32_t* numbers = <const uint32_t*> ids.data.as_uints
    cdef Py_ssize_t size
    with nogil:
        size = written_size(numbers, count)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, size)
    cdef char* out = PyBytes_AsString(text)
    with nogil:
        write(numbers, count, out, size)
    return text
