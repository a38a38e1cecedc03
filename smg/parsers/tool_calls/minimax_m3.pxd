# C types of minimax_m3.py: every parameter passes it.
cimport cython

from smg._speedups.text_scan cimport Markers
from smg._speedups.text_values cimport stripped
from smg.parsers.tool_calls.elements cimport Elements
from smg.parsers.tool_calls.parameters cimport ParameterCalls

cdef str _TAG, _INVOKE_END, _END
cdef Markers _TAG_ENDS
cdef Py_ssize_t _MAX_NAME
cdef int _MALFORMED, _BETWEEN, _IN_KEY
cdef int _IN_TEXT, _IN_TAG


cdef class MiniMaxM3(ParameterCalls):
    cdef int _place_in_value
    cdef str _before_tag
    cdef Elements _elements

    cdef bint _read_tag(self) except -1

    @cython.locals(tag=str)
    cdef bint _read_key(self) except -1

    @cython.locals(tag=str, found=str, limit=Py_ssize_t)
    cdef str _tag(self)
    cdef _end_by(self, str tag)

    @cython.locals(tag=str, text=str, long=bint)
    cdef bint _read_value(self) except -1
    cdef str _with_elements(self, str text)

    @cython.locals(elements=Elements)
    cdef _pass_tag(self, str tag, str written)

    @cython.locals(declared=str, value=str)
    cdef _write_elements(self, Elements elements)


@cython.locals(size=Py_ssize_t)
cdef bint _ends_call(str tag) except -1
cdef bint _closes(str tag, str name) except -1
