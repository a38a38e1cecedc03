# C types of series.py.
from smg.observability.metrics cimport Counter, Histogram


cdef class RelaySeries:
    cdef public object _labels, _metrics, _stream
    cdef public Counter _input, _output
    cdef public Histogram _generation, _tpot, _ttft
    cdef public Counter requests, selections, retries, retries_exhausted, retries_suppressed
    cdef public Histogram duration, overhead
    cdef public dict _errors


cdef class BackendSeries:
    cdef public object _metrics
    cdef public Counter resends
    cdef public dict _relays, _upstream
    cdef public tuple _kind
    cdef public int _status
    cdef public Counter _answers

    cpdef RelaySeries relay(self, model, endpoint, bint stream, policy)
    cpdef object upstream(self, int status, str code=*, bint reached=*)
