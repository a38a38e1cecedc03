from smg._speedups.clock cimport perf_counter


# C types of span.py.
cdef class Span:
    cdef public str name
    cdef public object trace_id
    cdef public unsigned long long span_id, parent_id
    cdef public bytes trace_state
    cdef public double started, ended
    cdef public long long wall_ns
    cdef public dict attributes
    cdef public list events
    cdef public bint failed

    cpdef object add(self, str name, dict attributes)
