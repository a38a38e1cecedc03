# C types of exchange.py; reading matter too: everything an exchange holds.
from smg._speedups.clock cimport perf_counter
from smg.server.routes cimport Endpoint
from smg.server.state cimport ServerState


cdef class Exchange:
    cdef public ServerState server
    cdef public Endpoint endpoint
    cdef public object conn, params, consumer, early_error, write_raw
    cdef public object method, path, query, body, request_id, origin, content_type
    cdef public list headers
    cdef public bint body_complete, done, framed, head_only, head_sent, http10, keep_alive
    cdef public int status
    cdef public object error_code, permit
    cdef public double started, waited

    cpdef object sent(self, int status)
    cpdef object ended(self)
    cpdef bytes common_headers(self)
    cdef object _release(self)
