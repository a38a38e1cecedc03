# C types of series.py.
cdef class RelaySeries:
    cdef public object _labels, _metrics, duration, overhead, requests, selections, ttft
    cdef public dict _errors


cdef class BackendSeries:
    cdef public object _metrics, resends
    cdef public dict _relays, _upstream

    cpdef RelaySeries relay(self, model, endpoint, bint stream, policy)
    cpdef object upstream(self, int status, code=*)
