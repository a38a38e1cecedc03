cimport cython

from smg._speedups.clock cimport wall_clock


# C types of access_log.py: every request passes twice.
cdef class AccessLog:
    cdef public object _write
    cdef public long _request_level, _response_level
    cdef public bint enabled_debug, enabled_info

    @cython.locals(level=long)
    cpdef object request_started(self, method, uri, version, request_id, bint probe=*)

    @cython.locals(level=long)
    cpdef object response_head(self, method, uri, version, request_id, long status,
                               long long latency_us, bint probe=*)
