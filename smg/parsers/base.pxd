# C types of base.py: every token makes one of these.
cimport cython


@cython.freelist(16)
cdef class Content:
    cdef public str text


@cython.freelist(16)
cdef class Reasoning:
    cdef public str text


@cython.freelist(16)
cdef class CallStart:
    cdef public Py_ssize_t index
    cdef public str id, name


@cython.freelist(16)
cdef class CallArguments:
    cdef public Py_ssize_t index
    cdef public str text
