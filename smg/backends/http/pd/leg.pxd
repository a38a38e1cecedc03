# C types of leg.py.
from smg.backends.http.target cimport Target
from smg.reliability.breaker cimport Breaker
from smg.upstream.connection cimport UpstreamConnection
from smg.workers.model cimport Worker


cdef class PrefillLeg:
    cdef public object owner, backend, _request, _policy
    cdef public str model
    cdef public list headers, _pieces
    cdef public long long ticket, _term, _room
    cdef public Worker worker
    cdef public Target target
    cdef public UpstreamConnection conn
    cdef public bint sent, answered, done, _resent, _told, _holds_load, _over
    cdef public int status
    cdef public double sent_at
    cdef public bytes _raw
    cdef public Breaker _breaker
