# C types of dual.py.
from smg._speedups.head cimport ReplyHead
from smg.backends.http.pd.pair cimport PairRelay
from smg.upstream.connection cimport UpstreamConnection


cdef class DualRelay(PairRelay):
    cdef public bint _merges, _whole
    cdef public object _merge
    cdef public ReplyHead _waiting, _ready
    cdef public list _pieces
    cdef public long long _size

    cpdef object upstream_head(self, UpstreamConnection conn, ReplyHead head)
