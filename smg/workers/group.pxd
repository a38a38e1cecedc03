# C types of group.py.


cdef class ModelGroup:
    cdef public object model
    cdef public tuple workers, available
