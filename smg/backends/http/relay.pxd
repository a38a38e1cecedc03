# C types of relay.py.
from smg.server.exchange cimport Exchange


cdef class Relay:
    cdef public bint _chunk_out, _resent, _sse
    cdef public double _dispatched
    cdef public bytes _head
    cdef public object _series, _worker, backend, body, conn, model
    cdef public Exchange exchange
    cdef public object endpoint, path
    cdef public list headers
    cdef public int quiet

    cdef object _acquire(self, bint fresh)
    cpdef object _send(self, conn)
    cpdef object _end(self)
