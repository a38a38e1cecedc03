# C types of dsml.py: every parameter passes it.
cimport cython

from smg._speedups.text_scan cimport Markers
from smg._speedups.text_values cimport stripped
from smg.parsers.coercion cimport json_or_text
from smg.parsers.tool_calls.base cimport BlockParser
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef Markers _KEY_END
cdef str _STRING, _OTHER
cdef int _MALFORMED, _TO_NOBODY, _ESCAPED
cdef int _BETWEEN, _IN_KEY, _BEHIND_CALL, _AT_ARGUMENTS


cdef class DsmlCalls(ParameterCalls):
    cdef bint _is_string

    @cython.locals(text=str, behind=str, quote=Py_ssize_t, size=Py_ssize_t)
    cdef bint _read_key(self) except -1

    @cython.locals(tags=Tags, dropped=bint, value=str)
    cdef bint _read_value(self) except -1
