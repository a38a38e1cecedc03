# What a policy needs: `from smg._speedups.radix cimport Step, TextTree, TokenTree, Tree`.
# The contract between `walk` and `commit` stands at the top of radix_core.pxd.
from libc.stdint cimport uint32_t

from cpython.buffer cimport Py_buffer

from smg._speedups.radix_core cimport Step, Tree


cdef class TextTree(Tree):
    cdef object text             # keeps the characters of an ASCII input alive
    cdef char* buffer            # other inputs, encoded
    cdef size_t buffer_size

    cdef int take_text(self, str text) except -1


cdef class TokenTree(Tree):
    cdef Py_buffer view          # keeps the tokens of a buffer alive
    cdef bint viewing
    cdef uint32_t* buffer        # other inputs, converted
    cdef size_t buffer_size

    cdef int take_tokens(self, object tokens) except -1
