# C types of metrics.py.
cdef class RouteSeries:
    cdef public object _metrics, _path
    cdef public dict _requests, _durations, _responses

    cpdef object arrived(self, method)
    cpdef object head(self, method, int status, error_code, double seconds)
