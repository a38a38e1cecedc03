# C types of engine.py: every token of an answer passes it.
cimport cython

from smg._speedups.text_scan cimport Characters, Markers, behind, go_on, rest_in
from smg._speedups.value_scan cimport SourceScanner
from smg.parsers.cursor cimport Cursor

cdef int _NONE, _UNTIL, _JSON, _SPACE, _RUN, _AHEAD, _SOURCE
cdef int _FOUND, _OVER


cdef class Engine(Cursor):
    cdef public bint broken
    cdef int _want
    cdef object _steps

    cdef object _begin(self)

    @cython.locals(at=Py_ssize_t)
    cpdef tuple feed(self, str text)
    cpdef tuple finish(self)
    cdef _advance(self)
    cdef bint _continue(self) except -1
    cdef _drive(self)

    cpdef bint try_peek(self) except -1
    cpdef bint try_space(self, str also=*) except -1
    cpdef bint try_run_of(self, Characters characters, Py_ssize_t limit) except -1
    cpdef bint try_ahead(self, tuple options) except -1
    cpdef bint try_until(self, Markers markers, object sink) except -1
    cpdef bint try_json(self, object sink, Py_ssize_t depth=*, bint raw=*) except -1
    cdef bint _wait(self, int want) except -1
    cpdef str character(self)
    cpdef str matched(self)
    cpdef str marker(self)
    cpdef str passed(self)
    cpdef str skipped(self)
    cpdef str found(self)
