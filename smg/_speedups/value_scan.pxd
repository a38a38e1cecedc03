# What the parsers' engine calls without going through Python.
from cython cimport final


@final
cdef class JsonScanner:
    cdef readonly Py_ssize_t depth
    cdef readonly bint done, bad
    cdef readonly Py_ssize_t reached
    cdef bint in_string, in_scalar

    cpdef void begin(self, Py_ssize_t depth) noexcept
    cpdef str scan(self, str text, Py_ssize_t at, bint closed)


@final
cdef class SourceScanner:
    cdef readonly bint done, bad
    cdef Py_ssize_t depth, limit
    cdef Py_UCS4 quote
    cdef bint after_backslash

    cpdef Py_ssize_t scan(self, str text, Py_ssize_t at) noexcept
