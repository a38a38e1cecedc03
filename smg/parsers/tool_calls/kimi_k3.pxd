# C types of kimi_k3.py: every argument passes it.
cimport cython

from smg._speedups.text_scan cimport Characters, Markers, quote_end
from smg._speedups.text_values cimport escaped, stripped
from smg.parsers.coercion cimport json_or_text
from smg.parsers.tool_calls.parameters cimport ParameterCalls, Tags

cdef str _TOOLS, _CALL, _ARGUMENT, _BEFORE_NAME, _BEFORE_INDEX, _BEFORE_KEY, _BEFORE_TYPE, _STRING, _VALUE_END, _WHITE
cdef Py_ssize_t _NO_LIMIT
cdef tuple _SEP, _STRING_REST
cdef Markers _TOKENS, _STRING_END
cdef Characters _CLOSING
cdef int _MALFORMED, _TO_NOBODY, _ESCAPED
cdef int _BEFORE_PART, _IN_NAME, _BETWEEN, _IN_KEY, _IN_VALUE, _BEHIND_CALL
cdef int _IN_STRING, _AT_REST, _BEHIND_CLOSE, _AT_SEP


cdef class KimiK3(ParameterCalls):
    cdef bint _in_tools, _owed_end, _call_follows
    cdef str _bracket
    cdef bint _is_string
    cdef int _place_in_string

    @cython.locals(name=str, opens=bint)
    cdef _begin_call(self)

    @cython.locals(tags=Tags)
    cdef bint _read_tag(self) except -1
    cdef _begin_tag(self, int place)

    @cython.locals(head=str, found=str, text=str, rest=str, cut=Py_ssize_t)
    cdef bint _is_tag(self) except -1

    @cython.locals(head=str)
    cdef bint _read_key(self) except -1

    cdef bint _ends_call(self, str word) except -1

    @cython.locals(end=Py_ssize_t)
    cdef bint _read_argument(self, str head) except -1

    @cython.locals(text=str, size=Py_ssize_t)
    cdef bint _read_value(self) except -1
    cdef _begin_string(self)

    @cython.locals(place=int, word=str)
    cdef bint _read_string(self) except -1


@cython.locals(end=Py_ssize_t)
cdef str _name_of(str head)
cdef Py_ssize_t _end_of_value(str text) except -2
