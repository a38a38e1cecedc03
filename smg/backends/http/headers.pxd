# C types of headers.py.
from smg._speedups.request_head cimport request_head


cdef class ForwardRules:
    cdef public frozenset _names
    cdef public bint _consumes

    cpdef bytes head(self, bytes prefix, list headers, bytes request_id, bytes worker_authorization, Py_ssize_t length)
