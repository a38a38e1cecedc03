from libc.stdint cimport uint32_t, uint64_t

from smg._speedups.loads cimport Candidates


cdef struct Point:
    uint64_t position
    uint32_t owner


cdef class HashRing:
    cdef Point *points
    # How many there are, are in order, and fit.
    cdef size_t count, ordered, capacity

    cdef int _settle(self) except -1
    cpdef Py_ssize_t find(self, probes, Candidates candidates) except -2
