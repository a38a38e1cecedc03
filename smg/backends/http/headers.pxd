# C types of headers.py.
cdef class ForwardRules:
    cdef public object _names
    cdef public bint _consumes

    cpdef bytes lines(self, list headers, bytes request_id, bytes worker_authorization)
