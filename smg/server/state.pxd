# C types of state.py: what connections read on every request.
from smg.core.deadlines cimport DeadlineQueue, Ticker
from smg.server.routes cimport Endpoint, RouteTable


cdef class ServerState:
    cdef public object loop, settings, access_log, authorize, cors, recent_errors
    cdef public RouteTable table
    cdef public bint log_requests, draining
    cdef public int log_from_status
    cdef public long long max_head_bytes, max_headers, max_target_bytes, max_payload_size
    cdef public set connections, handler_tasks
    cdef public dict exchanges, special_headers
    cdef public Ticker ticker
    cdef public DeadlineQueue head_deadlines, body_deadlines, idle_deadlines, linger_deadlines

    cpdef object request_arrived(self, exchange, Endpoint endpoint, method)
