# C types of priority.py: with priority classes every request passes here twice.
cimport cython

from smg.reliability.line cimport Line, Place


cdef class PriorityAdmission:
    cdef public tuple _classes, _waiting, _preemptible, reserved
    cdef public Py_ssize_t capacity, inflight, _pool, _pool_used
    cdef public list preempted, promoted, seats

    @cython.locals(line=Line)
    cpdef Place enter(self, object target, int rank, double now)

    @cython.locals(line=Line, rank=int)
    cpdef bint leave(self, Place place) except -1

    cdef bint _fits(self, int rank) except -1

    @cython.locals(line=Line, rank=int)
    cdef object _seat(self, Place place)
