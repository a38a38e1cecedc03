# C types of pair.py.
from smg._speedups.head cimport ReplyHead
from smg.backends.http.lane cimport Lane
from smg.backends.http.pd.leg cimport PrefillLeg
from smg.backends.http.relay cimport Relay
from smg.backends.http.target cimport Target
from smg.upstream.connection cimport UpstreamConnection
from smg.workers.model cimport Worker


cdef class PairRelay(Relay):
    cdef public object _pairs, _opening, _kept
    cdef public PrefillLeg _leg
    cdef public bytes _decode_raw
    cdef public Worker _fault
    cdef public str _prompt
    cdef public double _asked, _began_at
    cdef public bint _drains
    cdef public list _error
    cdef public long long _error_room

    cpdef bint _take(self, Lane lane, tuple workers) except -1
    cpdef object _leave_worker(self, int evidence)
    cpdef object _acquire(self, bint fresh)
    cpdef object _send(self, UpstreamConnection conn)
    cpdef object upstream_head(self, UpstreamConnection conn, ReplyHead head)
    cpdef object _end(self, int evidence)
    cpdef object _open_decode(self, bint fresh=*)
    cpdef object _part_leg(self)
    cpdef bytes head_to(self, Target target, Py_ssize_t length)
