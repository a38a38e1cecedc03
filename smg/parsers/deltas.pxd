# C types of deltas.py: every token of an answer passes it.
cimport cython

from smg._speedups.deltas cimport CallArguments, Content, Reasoning

cdef int _CONTENT, _REASONING


cdef class Deltas:
    cdef list _out
    cdef Py_ssize_t _kind
    cdef str _piece
    cdef list _more

    cdef _reset(self)
    cpdef content(self, str text)
    cpdef reasoning(self, str text)
    cdef _give(self, Py_ssize_t kind, str text)
    cdef _seal(self)

    @cython.locals(arguments=CallArguments, content=Content, reasoning=Reasoning)
    cdef object _delta(self)
    cdef tuple _taken(self)
