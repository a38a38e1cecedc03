# C types of members.py: every parameter passes it.
cimport cython

from smg._speedups.text_values cimport escaped, member_text, plain_value, stripped
from smg.parsers.coercion cimport coerce, infer_json
from smg.parsers.tool_calls.base cimport BlockParser

cdef dict _NO_TYPES


cdef class MemberCalls(BlockParser):
    cdef readonly dict _types
    cdef Py_ssize_t _members
    cdef bint _trims, _decodes

    cpdef str infer(self, str raw)

    @cython.locals(declared=str, value=str)
    cpdef str value(self, str key, str raw)
    cpdef end(self)
    cdef _write_member(self, str key, str value)
    cpdef _cut(self, str key, str rest)
