cimport cython

# C types of tracing.py: every request passes while traces are on, sampled or not.
from smg._speedups.trace_context cimport TraceIds, find_traceparent, is_unsampled
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


cdef class TracedState(ServerState):
    cdef public RequestTracer tracer

    @cython.locals(typed=Exchange)
    cpdef object request_arrived(self, exchange, Endpoint endpoint, method)
