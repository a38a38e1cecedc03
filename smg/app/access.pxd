# C types of access.py: every request passes twice while the access log is on.
from smg._speedups.clock cimport perf_counter
from smg.observability.access_log cimport AccessLog
from smg.server.exchange cimport Exchange


cdef class ServerLog:
    cdef public object _server, _trail
    cdef public AccessLog _log
    cdef public int _from_status

    cpdef object request(self, Exchange exchange)
    cpdef object response(self, Exchange exchange)
