# C types of dispatch.py.
from smg._speedups.clock cimport perf_counter
from smg.backends.http.context cimport RelayContext
from smg.backends.http.lane cimport Lane
from smg.backends.http.series cimport RelaySeries
from smg.backends.http.target cimport Target
from smg.protocols.body cimport CheckedBody
from smg.reliability.breaker cimport Breaker
from smg.server.exchange cimport Exchange
from smg.upstream.connection cimport UpstreamConnection
from smg.workers.model cimport Worker


cdef class Dispatch:
    cdef public bint _over, _resent, _sent, _told, _unread
    cdef public double _dispatched
    cdef public bytes _decision
    cdef public object _policy, _pause
    cdef public long long ticket, _term
    cdef public tuple _tried
    cdef public int _attempts
    cdef public RelaySeries _series
    cdef public Target _target
    cdef public Breaker _breaker
    cdef public RelayContext backend
    cdef public UpstreamConnection conn
    cdef public Worker _worker
    cdef public CheckedBody body
    cdef public str model, endpoint, path
    cdef public Exchange exchange
    cdef public list headers

    cpdef bint _take(self, Lane lane, tuple workers) except -1
    cpdef object _leave_worker(self, int evidence)
    cpdef object _tell_breaker(self, int evidence)
    cpdef object _acquire(self, bint fresh)
    cpdef bytes _request_head(self, Target target, Py_ssize_t length)
    cpdef object _send(self, UpstreamConnection conn)
