# C types of glm.py: every parameter passes it.
cimport cython

from smg._speedups.text_values cimport quoted
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef int _BETWEEN, _AT_TAG, _IN_KEY, _BEHIND_KEY, _AT_VALUE, _IN_VALUE, _MALFORMED
cdef Tags _TAGS


cdef class GlmCalls(ParameterCalls):
    cdef str _name
    cdef list _written

    @cython.locals(place=int, found=str, text=str)
    cdef bint _read_parameters(self) except -1
