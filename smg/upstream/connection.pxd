# C types of connection.py.
from smg._speedups.framing cimport BodyTracker


cdef class UpstreamConnection:
    cdef public object pool, transport, user, sink
    cdef public BodyTracker tracker
    cdef public bint decode, active, _keep_alive, _head_request, _paused
    cdef public long long uses
    cdef public double idle_since
    cdef public bytes _buffer

    cdef object _read_head(self, bytes data)
    cdef object _open_body(self, head, bytes rest)
    cdef object _complete(self, bytes tail)
