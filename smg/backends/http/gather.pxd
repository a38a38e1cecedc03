# C types of gather.py.

cdef class Gather:
    cdef object _loop
    cdef list _waiting

    cpdef object add(self, relay)
