# C types of engine.py: every token of an answer passes it.
cimport cython

from smg._speedups.text_scan cimport JsonScanner, Markers, SourceScanner, go_on, skip_run
from smg.parsers.base cimport CallArguments, Content, Reasoning

cdef int _NONE, _UNTIL, _JSON, _SPACE, _RUN, _AHEAD, _SOURCE
cdef int _FOUND, _OVER, _MALFORMED
cdef int _CONTENT, _REASONING, _TO_LIST, _TO_CALL


cdef class Engine:
    cdef public bint broken
    cdef readonly str _text
    cdef readonly Py_ssize_t _at
    cdef Py_ssize_t _end
    cdef bint _closed
    cdef list _held
    cdef list _out
    cdef Py_ssize_t _kind
    cdef str _piece
    cdef list _more
    cdef int _want, _outcome
    cdef str _found
    cdef Markers _markers
    cdef JsonScanner _scanner
    cdef SourceScanner _source
    cdef bint _raw
    cdef str _also
    cdef object _pattern
    cdef Py_ssize_t _limit
    cdef list _run
    cdef tuple _options
    cdef Py_ssize_t _sink_kind
    cdef object _sink
    cdef list _list
    cdef list _results
    cdef object _steps

    cpdef list feed(self, str text)
    cpdef bint try_space(self, str also=*) except -1
    cpdef bint try_until(self, Markers markers, object sink) except -1
    cpdef bint try_json(self, object sink, Py_ssize_t depth=*, bint raw=*) except -1
    cpdef str character(self)
    cpdef str marker(self)
    cpdef str found(self)
    cpdef content(self, str text)
    cpdef reasoning(self, str text)
    cpdef hold(self)
    cpdef release(self)
    cpdef drop(self)
    cpdef str held(self)

    cdef str _take(self, Py_ssize_t count)
    cdef bint _continue(self) except -1
    cdef _advance(self)
    cdef _drive(self)
    cdef _give(self, Py_ssize_t kind, str text)
    cdef _seal(self)

    @cython.locals(arguments=CallArguments, content=Content, reasoning=Reasoning)
    cdef object _delta(self)
    cdef list _taken(self)
    cdef bint _over(self) except -1

    @cython.locals(markers=Markers, at=Py_ssize_t)
    cdef bint _search(self) except -1

    @cython.locals(scanner=JsonScanner)
    cdef bint _read_json(self) except -1

    @cython.locals(source=SourceScanner, at=Py_ssize_t)
    cdef bint _read_source(self) except -1

    @cython.locals(at=Py_ssize_t)
    cdef bint _skip_space(self) except -1
    cdef bint _read_run(self) except -1
    cdef bint _look_ahead(self) except -1
    cdef _route(self, object sink)
    cdef Py_ssize_t _kind_of(self, object function) except -100
    cdef _put(self, str piece)
