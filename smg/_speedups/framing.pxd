# What other compiled modules may call without going through Python.
from libc.stdint cimport int64_t, uint32_t


cdef enum State:
    SIZE_FIRST
    SIZE
    EXTENSION
    SIZE_SPACE
    SIZE_LF
    DATA
    DATA_CR
    DATA_LF
    TRAILER_FIRST
    TRAILER
    TRAILER_LF
    LAST_LF
    RAW
    DONE
    FAILED


cdef class BodyTracker:
    cdef readonly bint complete
    cdef readonly int mode
    cdef readonly int64_t payload_bytes
    cdef int64_t left          # payload bytes left in the body or in the chunk
    cdef State state
    cdef int line              # bytes of the extension or of all trailers so far
    cdef uint32_t tail         # the last four payload bytes

    cdef void saw(self, const unsigned char* p, int64_t n) noexcept nogil
    cdef Py_ssize_t scan(self, const unsigned char* p, Py_ssize_t size, list pieces) except -1
    cpdef Py_ssize_t feed(self, bytes data) except -1
    cpdef tuple decode(self, bytes data)
    cpdef bint close(self) except -1
