# C types of pool.py.
from smg.core.deadlines cimport Ticker


cdef class UpstreamPool:
    cdef public object origin, settings, _tasks, _ssl
    cdef public set connections
    cdef public dict idle
    cdef public int connecting
    cdef public bint closed
    cdef public Ticker _ticker

    cpdef object acquire(self, user, bint fresh=*)
    cpdef object release(self, conn)
