# C types of dsml.py: every parameter passes it.
cimport cython

from smg.parsers.coercion cimport json_or_text
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef int _BETWEEN, _AT_TAG, _IN_KEY, _BEHIND_KEY, _IN_VALUE, _MALFORMED
cdef int _CONTENT, _TO_NOBODY, _ESCAPED


cdef class DsmlCalls(ParameterCalls):
    cdef bint _is_string

    @cython.locals(tags=Tags, place=int, found=str)
    cdef bint _read_parameters(self) except -1

    @cython.locals(tags=Tags)
    cdef bint _enter(self, str marker) except -1

    @cython.locals(tags=Tags)
    cdef _begin_value(self, str kind)
    cdef _end_value(self)
