# C types of cursor.py: every token of an answer passes it.
cimport cython

from smg._speedups.text_scan cimport Characters, Markers, Unread, begun, skip_run, skip_white
from smg._speedups.value_scan cimport JsonScanner, SourceScanner
from smg.parsers.deltas cimport Deltas

cdef int _FOUND, _OVER, _MALFORMED
cdef int _CONTENT, _REASONING, _TO_LIST, _TO_CALL
cdef Unread _NO_UNREAD
cdef Py_ssize_t _NOT_HELD, _NO_LIMIT


cdef class Cursor(Deltas):
    cdef readonly str _text
    cdef readonly Py_ssize_t _at
    cdef Py_ssize_t _end
    cdef bint _half, _passes, _completed
    cdef bint _quiet, _flows
    cdef Unread _unread
    cdef bint _closed
    cdef Py_ssize_t _mark
    cdef list _kept
    cdef int _outcome
    cdef str _found
    cdef Markers _markers
    cdef JsonScanner _scanner
    cdef SourceScanner _source
    cdef bint _raw
    cdef str _also
    cdef Characters _characters
    cdef object _pattern
    cdef Py_ssize_t _limit
    cdef list _run
    cdef tuple _options
    cdef Py_ssize_t _sink_kind
    cdef object _sink
    cdef list _list, _parts
    cdef Py_ssize_t _patience
    cdef str _gathered

    cpdef str take(self, Py_ssize_t count)
    cdef str _take(self, Py_ssize_t count)
    cdef _give_back(self, str marker)
    cpdef hold(self)
    cpdef release(self)
    cpdef str held(self)
    cpdef drop(self)

    cdef _replace(self, str text)
    cdef _keep(self)
    cdef _wait_for_rest(self, str marker)

    @cython.locals(marker=str)
    cdef _complete(self, str text, Py_ssize_t at)
    cdef _be_quiet(self)
    cdef _wake(self)

    cdef bint _over(self) except -1

    @cython.locals(markers=Markers, at=Py_ssize_t)
    cdef bint _search(self) except -1

    cdef bint _find(self) except -1
    cdef bint _expect(self) except -1

    @cython.locals(markers=Markers, piece=str, through=bint)
    cdef bint _gather(self) except -1
    cdef _pass_found(self)

    @cython.locals(scanner=JsonScanner)
    cdef bint _read_json(self) except -1

    @cython.locals(source=SourceScanner, at=Py_ssize_t)
    cdef bint _read_source(self) except -1

    cdef bint _skip_space(self) except -1
    cdef bint _skip_white(self) except -1

    @cython.locals(end=Py_ssize_t)
    cdef bint _read_run(self) except -1

    cdef bint _look_ahead(self) except -1

    @cython.locals(option=str)
    cdef bint _stands(self, tuple options) except -1

    cdef _route(self, object sink)
    cdef Py_ssize_t _kind_of(self, object function) except -100
    cdef _put(self, str piece)
