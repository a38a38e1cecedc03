# C types of relay.py.
from smg._speedups.head cimport ReplyHead
from smg.backends.http.context cimport RelayContext
from smg.backends.http.lane cimport Lane
from smg.backends.http.series cimport RelaySeries
from smg.protocols.body cimport CheckedBody
from smg.server.exchange cimport Exchange
from smg.upstream.connection cimport UpstreamConnection
from smg.workers.model cimport Worker


cdef class Relay:
    cdef public bint _chunk_out, _over, _resent, _sent, _sse, _told, _unread, _watched
    cdef public double _dispatched
    cdef public bytes _decision, _head
    cdef public object _policy, _sink
    cdef public long long ticket
    cdef public tuple _tried
    cdef public RelaySeries _series
    cdef public RelayContext backend
    cdef public UpstreamConnection conn
    cdef public Worker _worker
    cdef public CheckedBody body
    cdef public str model, endpoint, path
    cdef public Exchange exchange
    cdef public list headers
    cdef public int quiet, _status

    cpdef bint _take(self, Lane lane, tuple workers) except -1
    cdef object _leave_worker(self)
    cdef object _acquire(self, bint fresh)
    cpdef object _send(self, UpstreamConnection conn)
    cpdef object upstream_head(self, UpstreamConnection conn, ReplyHead head)
    cpdef object _end(self)
    cpdef object _count_head(self, int status, double came)
    cdef object _write_head(self, bytes piece)
