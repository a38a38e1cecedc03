# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Which worker was sent which prompt: prefix trees over text and over token ids. The tree itself: radix_core.pyx."""

import sys

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc

from smg._speedups.radix_core cimport MOST_UNITS, Tree

cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030C0000
    #define SMG_READY(text) PyUnicode_READY(text)
    #else
    #define SMG_READY(text) 0
    #endif
    """
    int SMG_READY(object text) except -1
    bint PyUnicode_IS_ASCII(object text)
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)

cdef bytes NATIVE = b"@=<" if sys.byteorder == "little" else b"@=>"
cdef tuple INTEGERS = (b"I", b"i", b"L", b"l")

ctypedef unsigned char byte

ctypedef fused Character:
    unsigned char
    unsigned short
    uint32_t

cdef enum:
    KEEP = 1 << 20     # bytes of a conversion buffer that stay for the next input


cdef char* encode(const Character* text, int64_t length, char* out) noexcept nogil:
    """UTF-8; a surrogate on its own as if it were a character. Returns the end."""
    cdef int64_t i
    cdef uint32_t c
    cdef byte* o = <byte*>out
    for i in range(length):
        c = text[i]
        if c < 0x80:
            o[0] = <byte>c
            o += 1
        elif c < 0x800:
            o[0] = <byte>(0xC0 | c >> 6)
            o[1] = <byte>(0x80 | c & 0x3F)
            o += 2
        elif c < 0x10000:
            o[0] = <byte>(0xE0 | c >> 12)
            o[1] = <byte>(0x80 | c >> 6 & 0x3F)
            o[2] = <byte>(0x80 | c & 0x3F)
            o += 3
        else:
            o[0] = <byte>(0xF0 | c >> 18)
            o[1] = <byte>(0x80 | c >> 12 & 0x3F)
            o[2] = <byte>(0x80 | c >> 6 & 0x3F)
            o[3] = <byte>(0x80 | c & 0x3F)
            o += 4
    return <char*>o


cdef class TextTree(Tree):
    """Prefixes of texts; the unit is one character.

    `max_size`: characters at most, summed over tenants. `max_attachments`: (node, tenant) pairs at most, which bounds
    memory when texts are short; by default one for 16 characters of max_size, but not less than 65,536.
    """

    def __init__(self, max_size, *, max_attachments=None):
        Tree.__init__(self, max_size, max_attachments)

    def __dealloc__(self):
        free(self.buffer)

    cdef int walk(self, object input) except -1:
        if not isinstance(input, str):
            raise TypeError(f"a str is needed, not {type(input).__name__}")
        self.take_text(input)
        return self.descend()

    cdef void forget(self) noexcept:
        Tree.forget(self)
        self.text = None
        if self.buffer_size > KEEP:
            free(self.buffer)
            self.buffer = NULL
            self.buffer_size = 0

    cdef int take_text(self, str text) except -1:
        """Sets `data`. ASCII is used in place; other text is encoded into a buffer of ours.

        Why not PyUnicode_AsUTF8String: it refuses surrogates and allocates for each input. Measured, ours takes 0.75
        to 1.25 of its time for 32,768 characters, half for 1,024. PyUnicode_AsUTF8AndSize would leave its copy inside
        the str.
        """
        cdef int64_t length
        cdef size_t need
        cdef size_t size
        cdef int kind
        cdef char* end
        self.forget()
        SMG_READY(text)
        length = len(text)
        self.input_units = length
        length = min(length, self.cap, <int64_t>MOST_UNITS)
        self.data_units = length
        self.data_ascii = PyUnicode_IS_ASCII(text)
        if self.data_ascii:
            self.text = text
            self.data = <const char*>PyUnicode_DATA(text)
            self.data_size = length
            return 0
        kind = PyUnicode_KIND(text)
        need = <size_t>length * (2 if kind == 1 else 3 if kind == 2 else 4)
        if need > self.buffer_size or self.buffer == NULL:
            free(self.buffer)
            self.buffer_size = 0
            size = max(need, min(need * 2, <size_t>KEEP))
            self.buffer = <char*>malloc(size + 4)  # a wrong guess of `scout` looks behind the end
            if self.buffer == NULL:
                raise MemoryError
            self.buffer_size = size
        if kind == 1:
            end = encode(<unsigned char*>PyUnicode_DATA(text), length, self.buffer)
        elif kind == 2:
            end = encode(<unsigned short*>PyUnicode_DATA(text), length, self.buffer)
        else:
            end = encode(<uint32_t*>PyUnicode_DATA(text), length, self.buffer)
        end[0] = 0  # for `scout`
        self.data = self.buffer
        self.data_size = end - self.buffer
        return 0


cdef class TokenTree(Tree):
    """Prefixes of lists of token ids, stored and matched in pages of `page`; the unit is one token.

    An input is a list or tuple of ids (0 to 2**32 - 1), or a buffer of 32-bit integers. What does not fill a page is
    not looked at. `max_size` and `max_attachments`: see TextTree.
    """

    def __init__(self, max_size, page=16, *, max_attachments=None):
        Tree.__init__(self, max_size, max_attachments)
        if not 1 <= page <= 1 << 16:
            raise ValueError("page")
        self.page = page * 4
        self.piece = max(self.page, self.piece - self.piece % self.page)

    def __dealloc__(self):
        free(self.buffer)
        if self.viewing:
            PyBuffer_Release(&self.view)

    cdef int walk(self, object input) except -1:
        self.take_tokens(input)
        return self.descend()

    cdef void forget(self) noexcept:
        Tree.forget(self)
        if self.viewing:
            self.viewing = False
            PyBuffer_Release(&self.view)
        if self.buffer_size > KEEP:
            free(self.buffer)
            self.buffer = NULL
            self.buffer_size = 0

    cdef int take_tokens(self, object tokens) except -1:
        """Sets `data`."""
        cdef int64_t length
        cdef size_t need
        cdef size_t size
        cdef Py_ssize_t i
        self.forget()
        if isinstance(tokens, (list, tuple)):
            length = len(tokens)
            need = <size_t>length * 4
            if need > self.buffer_size:
                free(self.buffer)
                self.buffer_size = 0
                size = max(need, min(need * 2, <size_t>KEEP))
                self.buffer = <uint32_t*>malloc(size)
                if self.buffer == NULL:
                    raise MemoryError
                self.buffer_size = size
            for i in range(length):
                token = (<list>tokens)[i] if isinstance(tokens, list) else (<tuple>tokens)[i]
                # Only ints: anything else might run code of its own, which might change the list, or this tree.
                if not isinstance(token, int):
                    raise TypeError(f"a token id is an int, not {type(token).__name__}")
                self.buffer[i] = token
            self.data = <const char*>self.buffer
        elif PyObject_CheckBuffer(tokens):
            PyObject_GetBuffer(tokens, &self.view, PyBUF_ND | PyBUF_FORMAT)
            self.viewing = True
            if (self.view.ndim != 1 or self.view.itemsize != 4
                    or self.view.format == NULL or (<bytes>self.view.format).lstrip(NATIVE) not in INTEGERS):
                self.forget()
                raise TypeError("a buffer of token ids has one dimension of 32-bit integers")
            length = self.view.shape[0]
            self.data = <const char*>self.view.buf
        else:
            raise TypeError(f"a list of token ids is needed, not {type(tokens).__name__}")
        self.input_units = length
        length = min(length, self.cap, <int64_t>MOST_UNITS)
        length -= length % (self.page >> 2)
        self.data_units = length
        self.data_size = length * 4
        return 0
