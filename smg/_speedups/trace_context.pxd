cimport cython

# What other compiled modules may call without going through Python.
from libc.stdint cimport uint64_t


@cython.final
cdef class TraceIds:
    cdef uint64_t _a, _b, _c, _d, _bound
    cdef bint _all
    cdef readonly bint sampled
    cdef uint64_t _high, _low
    cdef readonly uint64_t span_id

    cdef uint64_t _next(self) noexcept
    cpdef bytes traceparent(self)


cpdef Py_ssize_t find_traceparent(list headers, Py_ssize_t start) noexcept
cpdef bint is_unsampled(bytes value) noexcept
