cimport cython


# C types of tracing.py: every request passes while traces are on, sampled or not.
cdef class RequestTracer:
    cdef public object _bound, _emit
    cdef public list _ids
    cdef public dict spans

    @cython.locals(headers=list, name=bytes)
    cpdef object arrived(self, exchange)

    @cython.locals(ids=list, headers=list, span_id=bytes, trace_id=bytes, parent=bytes)
    cpdef object _begin(self, exchange)
