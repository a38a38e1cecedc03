# C types of connection.py.
from smg._speedups.framing cimport BodyTracker
from smg._speedups.head cimport ReplyHead


cdef class UpstreamConnection:
    cdef public object pool, transport, user, sink
    cdef public BodyTracker tracker
    cdef public bint decode, active, _keep_alive, _head_request, _paused
    cdef public long long uses
    cdef public double idle_since
    cdef public bytes _buffer

    cpdef object send(self, user, bytes head, bytes body, bint head_request=*)
    cdef object _read_head(self, bytes data)
    cdef object _open_body(self, ReplyHead head, bytes rest)
    cdef object _complete(self, bytes tail)
