# C types of relay.py.
cimport cython

from smg._speedups.clock cimport perf_counter
from smg._speedups.head cimport ReplyHead
from smg._speedups.request_head cimport length_line
from smg.backends.http.dispatch cimport Dispatch
from smg.backends.http.series cimport RelaySeries
from smg.upstream.connection cimport UpstreamConnection
from smg.wire.head cimport chunk, status_line


cdef class Relay(Dispatch):
    cdef public bint _chunk_out, _sse, _watched
    cdef public double _began, _came, _wrote
    cdef public bytes _before, _head, _last
    cdef public object _sink
    cdef public int quiet, _status

    @cython.locals(came=double)
    cpdef object upstream_head(self, UpstreamConnection conn, ReplyHead head)
    cpdef object _end(self, int evidence)

    @cython.locals(now=double, ours=double)
    cpdef object _count_head(self, int status, double came)
    cdef object _count_failure(self, RelaySeries series, int status)
    cdef object _count_stream(self, RelaySeries series, bytes tail)
    cpdef object rested(self)

    @cython.locals(now=double)
    cpdef object _stream_piece(self, bytes data)
    cdef object _write_head(self, bytes piece)
