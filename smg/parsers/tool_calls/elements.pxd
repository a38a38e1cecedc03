# C types of elements.py: every tag in a nested parameter passes it.
cimport cython

from smg._speedups.text_values cimport member_text, stripped
from smg.parsers.coercion cimport infer_json


cdef class _Element:
    cdef str name
    cdef list text
    cdef dict members

    cdef add(self, str name, str value)
    cdef str raw(self)
    cdef bint is_mixed(self) except -1

    @cython.locals(written=list, before=str, name=str, value=str)
    cdef str value(self, bint is_array)


cdef class Elements:
    cdef list _open, _raw
    cdef bint _mixed

    @cython.locals(innermost=_Element)
    cdef str name(self)
    cdef str raw(self)

    @cython.locals(innermost=_Element)
    cdef add_text(self, str text)
    cdef bint begin(self, str name, str tag) except -1
    cdef bint end(self, str tag) except -1
    cdef end_all(self)

    @cython.locals(element=_Element, around=_Element, value=str)
    cdef _close(self)

    @cython.locals(parameter=_Element)
    cdef str value(self, bint is_array)


cdef str _array(list items)
