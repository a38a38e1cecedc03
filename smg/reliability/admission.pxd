# C types of admission.py: with a limit every request passes here twice.
from smg.reliability.drain cimport DrainRate
from smg.reliability.line cimport Line, Place


cdef class Admission:
    cdef public double free, rate, queue_timeout, _at
    cdef public Py_ssize_t limit, queue_size
    cdef public long long inflight, allowed, refused, expired, gone
    cdef public Line _line
    cdef public DrainRate _drain

    cpdef bint enter(self, double now) except -1
    cpdef bint leave(self) except -1
    cpdef object admit(self, double now)
    cdef object _fill(self, double now)
