# C types of body.py.
cdef class CheckedBody:
    cdef public str model
    cdef public dict data
    cdef public bytes raw
    cdef public bint stream
