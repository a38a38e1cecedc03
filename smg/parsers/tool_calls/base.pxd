# C types of tool_calls/base.py: every token of an answer with tools passes it.
from smg._speedups.text_scan cimport Markers, go_on
from smg.parsers.base cimport CallStart
from smg.parsers.engine cimport Engine

cdef int _AT_START, _IN_TEXT, _AT_MARKER, _BEHIND_CALL, _BEHIND_SPACE, _AT_NEXT
cdef int _NONE, _UNTIL, _SPACE, _AHEAD, _CONTENT, _TO_NOBODY


cdef class ToolParser(Engine):
    cdef readonly object tools
    cdef object _make_id
    cdef bint _parallel
    cdef readonly Py_ssize_t _calls
    cdef bint _muted

    cpdef begin(self, str name)
    cpdef arguments(self, str text)


cdef class Blocks(ToolParser):
    cdef public set owed
    cdef int _place
    cdef tuple _starts, _dropped
    cdef Markers _all

    cdef bint _between(self) except -1
    cdef bint _begun(self, str marker) except -1
