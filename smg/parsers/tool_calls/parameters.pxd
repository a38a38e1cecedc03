# C types of parameters.py: every parameter passes it.
cimport cython

from smg._speedups.text_scan cimport Characters, Markers
from smg._speedups.text_values cimport stripped
from smg.parsers.tool_calls.members cimport MemberCalls

cdef int _BEFORE_PART, _AT_PART, _IN_NAME, _BEHIND_NAME, _BETWEEN, _AT_TAG
cdef int _IN_KEY, _BEHIND_KEY, _AT_VALUE, _IN_VALUE, _BEHIND_CALL
cdef int _FOUND, _OVER, _MALFORMED, _CONTENT


cdef class Tags:
    cdef readonly tuple head, name_end, dropped
    cdef readonly Characters names
    cdef readonly str parameter, call_end
    cdef readonly Markers key_end, value_end, inside


cdef class ParameterCalls(MemberCalls):
    cdef Tags _tags
    cdef tuple _head
    cdef int _place_in_call
    cdef str _name, _key
    cdef list _before

    @cython.locals(place=int)
    cdef bint _read_call(self) except -1

    @cython.locals(tags=Tags, place=int)
    cdef bint _read_head(self) except -1
    cdef _begin_name(self)
    cdef _announce(self)

    @cython.locals(tags=Tags, found=str)
    cdef bint _read_tag(self) except -1
    cdef bint _expect_tag(self) except -1
    cdef _begin_key(self)
    cdef bint _read_key(self) except -1
    cdef _begin_value(self)
    cdef bint _read_value(self) except -1
    cdef _go_on_behind(self, str text)
    cdef str _whole_with(self, str text)
    cdef _end_call(self)
