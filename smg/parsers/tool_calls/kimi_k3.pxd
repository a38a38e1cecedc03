# C types of kimi_k3.py: every argument passes it.
cimport cython

from smg._speedups.text_scan cimport Characters, Markers, quote_end, skip_white
from smg._speedups.text_values cimport escaped, stripped
from smg.parsers.coercion cimport json_or_text
from smg.parsers.tool_calls.parameters cimport ParameterCalls

cdef str _TOOLS, _CALL, _ARGUMENT, _BEFORE_NAME, _BEFORE_INDEX, _BEFORE_KEY, _BEFORE_TYPE, _STRING, _VALUE_END, _WHITE
cdef str _OPEN_BEFORE_KEY, _CALL_END, _USUAL_END
cdef Py_ssize_t _NO_LIMIT
cdef tuple _SEP
cdef Markers _TOKENS, _TAG_END, _STRING_END
cdef Characters _CLOSING
cdef int _FOUND, _MALFORMED, _TO_NOBODY, _ESCAPED
cdef int _BEFORE_PART, _IN_NAME, _BETWEEN, _IN_KEY, _IN_VALUE, _BEHIND_CALL
cdef int _IN_STRING, _BEHIND_CLOSE, _AT_SEP


cdef class KimiK3(ParameterCalls):
    cdef bint _in_tools, _owed_end, _call_follows
    cdef str _bracket
    cdef bint _is_string, _is_whole
    cdef int _place_in_string

    @cython.locals(name=str, opens=bint)
    cdef _begin_call(self)

    cdef _begin_whole_tag(self)

    @cython.locals(text=str, at=Py_ssize_t)
    cdef _read_whole_tag(self)

    @cython.locals(end=Py_ssize_t)
    cdef bint _takes_argument(self, str text, Py_ssize_t at, str before) except -1

    cdef bint _read_tag(self) except -1
    cdef _begin_tag(self, int place)

    @cython.locals(head=str, found=str, text=str, rest=str, cut=Py_ssize_t)
    cdef bint _is_tag(self) except -1

    @cython.locals(head=str)
    cdef bint _read_key(self) except -1

    cdef bint _ends_call(self, str word) except -1

    cdef bint _read_argument(self, str head) except -1

    @cython.locals(text=str, size=Py_ssize_t)
    cdef bint _read_value(self) except -1
    cdef _begin_string(self)

    cdef _end_string(self)

    @cython.locals(place=int, word=str, found=str)
    cdef bint _read_string(self) except -1


@cython.locals(end=Py_ssize_t)
cdef str _name_of(str head)
cdef Py_ssize_t _end_of_value(str text) except -2
