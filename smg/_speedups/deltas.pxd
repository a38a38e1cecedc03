# What the parsers' engine makes without calling the classes.
from cython cimport final


@final
cdef class Content:
    cdef public str text


@final
cdef class Reasoning:
    cdef public str text


@final
cdef class CallStart:
    cdef public Py_ssize_t index
    cdef public str id, name


@final
cdef class CallArguments:
    cdef public Py_ssize_t index
    cdef public str text
