# C types of series.py.
from smg.observability.metrics cimport Counter, Histogram


cdef class RelaySeries:
    cdef public object _labels, _metrics
    cdef public Counter requests, selections, retries, retries_exhausted, retries_suppressed
    cdef public Histogram duration, overhead, ttft
    cdef public dict _errors


cdef class BackendSeries:
    cdef public object _metrics
    cdef public Counter resends
    cdef public dict _relays, _upstream

    cpdef RelaySeries relay(self, model, endpoint, bint stream, policy)
    cpdef object upstream(self, int status, code=*)
