cimport cython

# C types of tracing.py: every request passes while traces are on, sampled or not.
from smg._speedups.clock cimport perf_counter
from smg._speedups.trace_context cimport TraceIds, find_traceparent, is_unsampled
from smg.observability.tracing.span cimport Span
from smg.server.exchange cimport Exchange
from smg.server.routes cimport Endpoint
from smg.server.state cimport ServerState


cdef class RequestTracer:
    cdef public object _emit
    cdef public TraceIds _ids
    cdef public dict spans

    cpdef object arrived(self, exchange)

    @cython.locals(place=Py_ssize_t)
    cdef object _decide(self, exchange, list headers)

    @cython.locals(parent=bytes)
    cdef object _begin(self, exchange, list headers)
    cdef object _open(self, exchange, Span span)
    cpdef object ended(self, exchange, Span span)


cdef class RequestSpan:
    cdef public RequestTracer _tracer
    cdef public object _exchange, _before, error
    cdef public Span span
    cdef public double head_at
    cdef public bint relaying

    cpdef object hold(self)
    cpdef object leave(self)

    @cython.locals(attributes=dict, status=int)
    cdef object _finish(self, exchange, Span span)


cdef class TracedState(ServerState):
    cdef public RequestTracer tracer

    @cython.locals(typed=Exchange)
    cpdef object request_arrived(self, exchange, Endpoint endpoint, method)
