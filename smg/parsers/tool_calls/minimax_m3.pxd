# C types of minimax_m3.py: every parameter passes it.
cimport cython

from smg._speedups.text_scan cimport Markers
from smg._speedups.text_values cimport stripped
from smg.parsers.tool_calls.elements cimport Elements
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef str _TAG
cdef Markers _TAG_ENDS
cdef tuple _CALL_ENDS
cdef int _MALFORMED, _BETWEEN, _IN_KEY
cdef int _IN_TEXT, _AT_END, _IN_TAG


cdef class MiniMaxM3(ParameterCalls):
    cdef int _place_in_value
    cdef tuple _closing
    cdef str _before_tag
    cdef Elements _elements

    @cython.locals(tags=Tags)
    cdef bint _read_tag(self) except -1

    @cython.locals(tag=str)
    cdef bint _read_key(self) except -1

    @cython.locals(tag=str, found=str)
    cdef str _tag(self)
    cdef _end_by(self, str tag)
    cdef _begin_text(self, str name)

    @cython.locals(place=int, tag=str)
    cdef bint _read_value(self) except -1

    @cython.locals(text=str)
    cdef _cut_value(self)

    @cython.locals(elements=Elements)
    cdef _pass_tag(self, str tag, str written)

    @cython.locals(declared=str, value=str)
    cdef _write_elements(self, Elements elements)
