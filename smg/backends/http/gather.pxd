# C types of gather.py.

cdef class Gather:
    cdef object _loop
    cdef list _resting, _next
    cdef bint _ticking

    cpdef object rest(self, relay)
