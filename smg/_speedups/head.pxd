# What other compiled modules may read without going through Python.
from libc.stdint cimport int64_t


cdef class ReplyHead:
    cdef readonly int status
    cdef readonly int mode
    cdef readonly int64_t length
    cdef readonly bint keep_alive
    cdef readonly bint event_stream
    cdef readonly bytes lines


cpdef ReplyHead parse_reply_head(bytes data, Py_ssize_t end, int max_headers)
