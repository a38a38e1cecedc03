# C types of tool_calls/base.py: every token of an answer with tools passes it.
cimport cython

from smg._speedups.deltas cimport CallStart
from smg._speedups.text_scan cimport Markers, go_on
from smg._speedups.text_values cimport escaped
from smg.parsers.engine cimport Engine

cdef int _AT_START, _IN_TEXT, _AT_MARKER, _BEHIND_CALL, _BEHIND_SPACE, _AT_NEXT
cdef int _NONE, _UNTIL, _JSON, _SPACE, _AHEAD, _CONTENT, _TO_NOBODY, _ESCAPED


cdef class ToolParser(Engine):
    cdef readonly object tools
    cdef object _make_id
    cdef bint _parallel
    cdef readonly Py_ssize_t _calls
    cdef bint _muted

    @cython.locals(start=CallStart)
    cpdef begin(self, str name)
    cpdef arguments(self, str text)
    cdef _write(self, str text)
    cpdef bint try_arguments(self) except -1


cdef class BlockMarkers:
    cdef readonly tuple starts, dropped
    cdef readonly str call_begin, section_end
    cdef readonly Markers markers


cdef class BlockParser(ToolParser):
    cdef public tuple owed
    cdef public bint in_section
    cdef int _place
    cdef bint _in_block, _after_call
    cdef BlockMarkers _all

    cpdef block(self, str marker)
    cpdef closed_by(self, str marker)
    cdef bint _enters(self, str marker) except -1
    cdef bint _read_block(self) except -1
    cdef bint _between(self) except -1
    cdef bint _begun(self, str marker) except -1


cdef dict _MARKERS
cdef BlockMarkers _markers_of(object kind)
