cimport cython

from smg.observability.metrics cimport Counter, Histogram


# C types of metrics.py.
cdef class RouteSeries:
    cdef public object _metrics, _path
    cdef public dict _requests, _durations, _responses
    cdef public bytes _method, _timed
    cdef public str _code
    cdef public int _status
    cdef public Counter _arrivals, _answers
    cdef public Histogram _duration

    cpdef object arrived(self, bytes method)
    cdef object _arrival(self, bytes method)
    cpdef object head(self, bytes method, int status, str error_code, double seconds)
    cdef object _answer(self, int status, str error_code)
    cdef object _timing(self, bytes method)
