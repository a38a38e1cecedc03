# cython: language_level=3, boundscheck=False, wraparound=False
"""JSON and Python source in text that arrives in pieces: where it ends, and JSON's text without white space.

As in text_scan.pyx: what no later text can change is decided, and a piece that needs no change is given on as the very
object that came.
"""

from cython cimport final

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport (
    PyUnicode_4BYTE_KIND,
    PyUnicode_DATA,
    PyUnicode_FromKindAndData,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
    PyUnicode_Substring,
)
from libc.string cimport memcpy

from smg._speedups.text_scan cimport is_white

cdef enum:
    DEPTH = 512
    SMALL = 64      # characters that need no memory of their own
    # what an escape is, if it is no whole one
    HALF = 0
    UNKNOWN = -1
    CUT = -2

#: levels; deeper nesting is an attack or a loop of the model
MAX_DEPTH = DEPTH


# Characters that were written anew. `data` is NULL as long as everything read was given on as it is.
cdef struct Writer:
    Py_UCS4* data
    Py_ssize_t used
    Py_ssize_t room
    Py_UCS4 small[SMALL]


@final
cdef class JsonScanner:
    """Reads one JSON value as it arrives and gives its text on, compact.

    White space between tokens is dropped. A piece never ends inside an escape or between the halves of a surrogate
    pair. Two things that models write and JSON forbids are repaired, because what they mean is clear: raw control
    characters in strings are escaped, the backslash of an unknown escape is doubled. The structure is not validated
    beyond what tells JSON from other text.

    `depth`: brackets that are open; the value may begin inside some. `done`: the value is complete. `bad`: what
    stands at the place reached is no JSON.
    """

    def __init__(self, Py_ssize_t depth=0):
        self.begin(depth)

    cpdef void begin(self, Py_ssize_t depth) noexcept:
        """Set out for another value."""
        self.depth = depth
        self.in_string = self.in_scalar = self.done = self.bad = False
        self.reached = 0

    cpdef str scan(self, str text, Py_ssize_t at, bint closed):
        """The compact text of what can be read from `at` on; `reached` is the place behind it: before the end of
        `text` only if the value is done or bad, or half an escape stands there. `closed`: no text will follow.
        """
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_UCS4 character
        cdef Py_ssize_t start = at
        cdef Py_ssize_t count
        cdef Writer out
        out.data = NULL
        try:
            while at < length:
                character = PyUnicode_READ(kind, data, at)
                if self.in_string:
                    if character == c'"':
                        self.in_string = False
                        self.done = self.depth == 0
                    elif character == c"\\":
                        count = escape(kind, data, at, length, closed)
                        if count == HALF:
                            break
                        if count > 0:
                            while count > 1:
                                if out.data != NULL:
                                    put(&out, PyUnicode_READ(kind, data, at))
                                at += 1
                                count -= 1
                            character = PyUnicode_READ(kind, data, at)
                        elif count == UNKNOWN:
                            rewrite(&out, kind, data, start, at, length)
                            put(&out, c"\\")
                    elif character < 0x20:
                        rewrite(&out, kind, data, start, at, length)
                        put_control(&out, character)
                        at += 1
                        continue
                elif self.in_scalar or self.depth == 0 and not opens(character):
                    if not of_scalar(character):
                        self.done = self.in_scalar
                        self.bad = not self.in_scalar
                        break
                    self.in_scalar = True
                elif character == c'"':
                    self.in_string = True
                elif character == c"{" or character == c"[":
                    if self.depth == DEPTH:
                        self.bad = True
                        break
                    self.depth += 1
                elif character == c"}" or character == c"]":
                    self.depth -= 1
                    self.done = self.depth == 0
                elif is_white(character):
                    rewrite(&out, kind, data, start, at, length)
                    at += 1
                    continue
                elif not (character == c":" or character == c"," or of_scalar(character)):
                    self.bad = True
                    break
                if out.data != NULL:
                    put(&out, character)
                at += 1
                if self.done:
                    break
            if closed and self.in_scalar and at == length:
                self.done = True
            self.reached = at
            if out.data != NULL:
                return PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, out.data, out.used)
            if start == 0 and at == length:
                return text
            return PyUnicode_Substring(text, start, at)
        finally:
            if out.data != NULL and out.data != out.small:
                PyMem_Free(out.data)


@final
cdef class SourceScanner:
    """Reads Python source up to the bracket that closes the first, with an eye on strings.

    `depth`: brackets that are open. `done`: that bracket has come. `bad`: a character stands at the place reached that
    neither literals nor calls have, or there have been `limit` characters before it.
    """

    def __init__(self, Py_ssize_t depth, Py_ssize_t limit):
        self.depth = depth
        self.limit = limit
        self.quote = 0
        self.after_backslash = self.done = self.bad = False

    cpdef Py_ssize_t scan(self, str text, Py_ssize_t at) noexcept:
        """Reads from `at` on; the place reached."""
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_UCS4 character
        while at < length and not self.done:
            if self.limit == 0:
                self.bad = True
                break
            character = PyUnicode_READ(kind, data, at)
            if self.after_backslash:
                self.after_backslash = False
            elif self.quote != 0:
                if character == c"\\":
                    self.after_backslash = True
                elif character == self.quote:
                    self.quote = 0
            elif character == c'"' or character == c"'":
                self.quote = character
            elif character == c"(" or character == c"[" or character == c"{":
                self.depth += 1
            elif character == c")" or character == c"]" or character == c"}":
                self.depth -= 1
                self.done = self.depth == 0
            elif is_foreign(character):
                self.bad = True
                break
            self.limit -= 1
            at += 1
        return at


cdef inline bint is_foreign(Py_UCS4 character) noexcept:
    """Whether neither a literal nor a call has the character outside of strings."""
    return (
        character == c"`" or character == c"?" or character == c"$" or character == c"!" or character == c";"
        or character == c"<" or character == c">" or character == c"@"
    )


cdef inline bint opens(Py_UCS4 character) noexcept:
    """Whether a value may begin so that is no number or literal; or there may be white space before it."""
    return character == c'"' or character == c"{" or character == c"[" or is_white(character)


cdef inline bint of_scalar(Py_UCS4 character) noexcept:
    """Whether a number or literal may have the character."""
    return (
        c"a" <= character <= c"z" or c"0" <= character <= c"9" or c"A" <= character <= c"Z"
        or character == c"." or character == c"-" or character == c"+" or character == c"_"
    )


cdef int rewrite(
    Writer* out, int kind, void* data, Py_ssize_t start, Py_ssize_t at, Py_ssize_t length
) except -1:
    """From here on characters are written anew; those from `start` to `at` are taken over."""
    if out.data != NULL:
        return 0
    out.used = 0
    if length - start <= SMALL:
        out.data = out.small
        out.room = SMALL
    else:
        out.room = length - start
        out.data = <Py_UCS4*> PyMem_Malloc(out.room * sizeof(Py_UCS4))
        if out.data == NULL:
            raise MemoryError
    while start < at:
        out.data[out.used] = PyUnicode_READ(kind, data, start)
        out.used += 1
        start += 1
    return 0


cdef int put(Writer* out, Py_UCS4 character) except -1:
    cdef Py_UCS4* bigger
    if out.used == out.room:
        if out.data == out.small:
            bigger = <Py_UCS4*> PyMem_Malloc(2 * out.room * sizeof(Py_UCS4))
            if bigger != NULL:
                memcpy(bigger, out.data, out.used * sizeof(Py_UCS4))
        else:
            bigger = <Py_UCS4*> PyMem_Realloc(out.data, 2 * out.room * sizeof(Py_UCS4))
        if bigger == NULL:
            raise MemoryError
        out.data = bigger
        out.room *= 2
    out.data[out.used] = character
    out.used += 1
    return 0


cdef int put_control(Writer* out, Py_UCS4 character) except -1:
    """A control character as JSON has it in a string."""
    cdef int low = <int> character & 15
    put(out, c"\\")
    if character == c"\n":
        return put(out, c"n")
    if character == c"\r":
        return put(out, c"r")
    if character == c"\t":
        return put(out, c"t")
    if character == c"\b":
        return put(out, c"b")
    if character == c"\f":
        return put(out, c"f")
    put(out, c"u")
    put(out, c"0")
    put(out, c"0")
    put(out, c"1" if character >= 16 else c"0")
    return put(out, <Py_UCS4> (low + (48 if low < 10 else 87)))  # a hexadecimal digit


cdef Py_ssize_t escape(int kind, void* data, Py_ssize_t at, Py_ssize_t length, bint closed) noexcept:
    """How many characters the escape at `at` has. HALF: that, or whether the other half of its surrogate pair
    follows, cannot be said yet. UNKNOWN: it is none. CUT: the end of the text has cut it.
    """
    if at + 1 < length and is_short(PyUnicode_READ(kind, data, at + 1)):
        return 2
    if half(kind, data, at, length):
        return CUT if closed else HALF
    if not begins_unicode(kind, data, at, at + 6, length):
        return UNKNOWN
    if not closed and is_high(kind, data, at) and half(kind, data, at + 6, length):
        return HALF
    return 6


cdef bint is_short(Py_UCS4 character) noexcept:
    """Whether it makes an escape together with a backslash alone."""
    return (
        character == c"n" or character == c'"' or character == c"\\" or character == c"/" or character == c"b"
        or character == c"f" or character == c"r" or character == c"t"
    )


cdef bint half(int kind, void* data, Py_ssize_t at, Py_ssize_t length) noexcept:
    """Whether all that stands from `at` on may be the beginning of a unicode escape."""
    return length - at < 6 and begins_unicode(kind, data, at, length, length)


cdef bint begins_unicode(int kind, void* data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t length) noexcept:
    """Whether what stands from `at` to `end` is a unicode escape, or the beginning of one."""
    cdef Py_ssize_t place
    cdef Py_UCS4 character
    if end > length:
        return False
    for place in range(at, end):
        character = PyUnicode_READ(kind, data, place)
        if place == at:
            if character != c"\\":
                return False
        elif place == at + 1:
            if character != c"u":
                return False
        elif not (
            c"0" <= character <= c"9" or c"a" <= character <= c"f" or c"A" <= character <= c"F"
        ):
            return False
    return True


cdef bint is_high(int kind, void* data, Py_ssize_t at) noexcept:
    """Whether a unicode escape is the first half of a surrogate pair."""
    cdef Py_UCS4 first = PyUnicode_READ(kind, data, at + 2)
    cdef Py_UCS4 second = PyUnicode_READ(kind, data, at + 3)
    return (first == c"d" or first == c"D") and (
        second == c"8" or second == c"9" or c"a" <= second <= c"b" or c"A" <= second <= c"B"
    )
