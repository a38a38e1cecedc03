# C types of body.py.
cdef class CheckedBody:
    cdef public object model, data, raw
    cdef public bint stream
