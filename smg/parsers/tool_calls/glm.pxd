# C types of glm.py: every parameter passes it.
cimport cython

from smg._speedups.text_values cimport member_text, stripped
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef int _MALFORMED, _BETWEEN, _IN_KEY, _BEHIND_KEY, _AT_VALUE
cdef tuple _VALUE


cdef class GlmCalls(ParameterCalls):
    cdef list _written

    @cython.locals(tags=Tags)
    cdef bint _read_tag(self) except -1

    @cython.locals(place=int)
    cdef bint _read_key(self) except -1

    @cython.locals(value=str)
    cdef bint _read_value(self) except -1
