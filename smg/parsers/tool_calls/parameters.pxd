# C types of parameters.py: every parameter passes it.
cimport cython

from smg._speedups.text_values cimport escaped, quoted
from smg._speedups.text_scan cimport Markers
from smg.parsers.coercion cimport coerce
from smg.parsers.tool_calls.base cimport BlockParser


cdef int _BETWEEN, _AT_TAG, _IN_KEY, _BEHIND_KEY, _AT_VALUE, _IN_VALUE
cdef int _CONTENT, _TO_LIST, _PARAMETERS


cdef class Tags:
    cdef readonly str parameter, call_end
    cdef readonly Markers key_end, value_end, inside
    cdef readonly tuple dropped


cdef class ParameterCalls(BlockParser):
    cdef readonly dict _types
    cdef Py_ssize_t _members
    cdef Tags _tags
    cdef bint _trims, _decodes
    cdef int _place_in_call
    cdef str _key

    cpdef key(self, str key)
    cpdef str value(self, str key, str raw)
    cpdef member(self, str key, str raw)
    cpdef end(self)

    @cython.locals(tags=Tags, place=int, found=str, key=str, value=str)
    cdef bint _read_parameters(self) except -1
    cdef _collect(self, Markers markers, int place)
    cpdef _cut(self, str key, str rest)
