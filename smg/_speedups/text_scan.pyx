# cython: language_level=3, boundscheck=False, wraparound=False
"""The loops over characters that the parsers' engine spends its time in.

The classes here read text that arrives in pieces and decide only on what no later text can change. They work on the
characters of a `str` in place: a piece that needs no change is given on as the very object that came. Plain twins,
which the tests use as oracle, are in tests/unit/parsers/plain.py.
"""

from cython cimport final

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from cpython.unicode cimport (
    PyUnicode_4BYTE_KIND,
    PyUnicode_DATA,
    PyUnicode_FromKindAndData,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
    PyUnicode_Substring,
)
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    int PyIter_Send(object iterator, object value, PyObject** result) except -1
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    Py_UCS4 PyUnicode_MAX_CHAR_VALUE(object text) noexcept
    void PyUnicode_WRITE(int kind, void* data, Py_ssize_t index, Py_UCS4 character) noexcept

cdef enum:
    RETURNED = 0    # PYGEN_RETURN
    DEPTH = 512
    SMALL = 64      # characters that need no memory of their own
    UNREAD = 256    # characters whose memory is kept for the next
    # what an escape is, if it is no whole one
    HALF = 0
    UNKNOWN = -1
    CUT = -2

#: levels; deeper nesting is an attack or a loop of the model
MAX_DEPTH = DEPTH
#: what `go_on` gives for a generator that has not ended
WAITS = object()


# Characters that were written anew. `data` is NULL as long as everything read was given on as it is.
cdef struct Writer:
    Py_UCS4* data
    Py_ssize_t used
    Py_ssize_t room
    Py_UCS4 small[SMALL]


@final
cdef class Markers:
    """A set of markers to look for at once.

    None may be part of another: then whichever is found first would depend on how the text was cut.
    """

    def __init__(self, texts):
        cdef int i
        cdef Py_UCS4 first, last
        self.texts = tuple(dict.fromkeys(texts))
        self.others = ""
        self.other_ends = ""
        for i in range(256):
            self.begins[i] = self.ends[i] = 0
        for text in self.texts:
            if not text or any([text in other for other in self.texts if other != text]):
                raise ValueError(f"marker {text!r} is empty or part of another")
            first = text[0]
            if first < 256:
                self.begins[first] = 1
            else:
                self.others += text[0]
            last = text[len(text) - 1]
            if last < 256:
                self.ends[last] = 1
            else:
                self.other_ends += text[len(text) - 1]

    cpdef Py_ssize_t find(self, str text, Py_ssize_t at, bint closed) except -1:
        """The first place, from `at` on, where a marker stands or may yet begin; the end of `text` if there is no
        such place. `closed`: no text will follow, so half a marker is none.
        """
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_UCS4 character
        cdef bint begins
        cdef str marker
        while at < length:
            if kind == 1:
                at = self.narrow_beginning(<unsigned char*> data, at, length)
                if at == length:
                    break
                begins = True
            else:
                character = PyUnicode_READ(kind, data, at)
                begins = self.begins[character] if character < 256 else <unsigned char> has(self.others, character)
            if begins:
                marker = begun(self.texts, text, at)
                # No whole marker can stand inside of half a one: it would be part of it.
                if marker is not None and not (closed and PyUnicode_GET_LENGTH(marker) > length - at):
                    return at
            at += 1
        return at

    cdef Py_ssize_t narrow_beginning(self, unsigned char* data, Py_ssize_t at, Py_ssize_t length) noexcept:
        while at < length and not self.begins[data[at]]:
            at += 1
        return at

    cpdef bint may_end(self, str text, Py_ssize_t at) noexcept:
        """Whether the last character of a marker stands somewhere from `at` on."""
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_UCS4 character
        if kind == 1:
            return self.ends_narrow(<unsigned char*> data + at, length - at)
        while at < length:
            character = PyUnicode_READ(kind, data, at)
            if character < 256:
                if self.ends[character]:
                    return True
            elif has(self.other_ends, character):
                return True
            at += 1
        return False

    cdef bint ends_narrow(self, unsigned char* data, Py_ssize_t size) noexcept:
        cdef Py_ssize_t at
        for at in range(size):
            if self.ends[data[at]]:
                return True
        return False


@final
cdef class Unread:
    """Text that has arrived and of which nothing can be said before a marker ends in it."""

    def __dealloc__(self):
        PyMem_Free(self.data)

    cpdef Py_ssize_t add(self, str text, Py_ssize_t at, Markers markers) except -1:
        """Puts `text` away, from `at` on, up to the end of the first marker, if one ends in it: the place in `text`
        behind that, else 0. The marker is no part of what is put away; `marker` is it.
        """
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text) - at
        if PyUnicode_KIND(text) == 1 and self.used + size <= self.room:
            if copied(self.data + self.used, <unsigned char*> PyUnicode_DATA(text) + at, 0, size, markers) == size:
                self.used += size
                return 0
        return self.add_ending(text, at, size, markers)

    cdef Py_ssize_t add_ending(self, str text, Py_ssize_t at, Py_ssize_t size, Markers markers) except -1:
        """`add` where more may have to be done than to copy: mostly it has not."""
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_ssize_t used = self.used
        cdef Py_ssize_t place = 0
        if used + size > self.room:
            self.grow(used + size)
        while True:
            if kind == 1:
                place = copied(self.data + used, <unsigned char*> data + at, place, size, markers)
            else:
                place = copied_wide(self.data + used, kind, data, at, place, size, markers)
            if place == size:
                self.used = used + size
                return 0
            place += 1
            self.marker = self.ending(used + place, markers.texts)
            if self.marker is not None:
                self.used = used + place - PyUnicode_GET_LENGTH(self.marker)
                return at + place

    cdef str ending(self, Py_ssize_t end, tuple markers):
        """The marker that ends there; None if none does."""
        cdef Py_ssize_t size, i
        cdef Py_UCS4* begin
        cdef str marker
        for marker in markers:
            size = PyUnicode_GET_LENGTH(marker)
            if size <= end:
                begin = self.data + end - size
                for i in range(size):
                    if begin[i] != PyUnicode_READ(PyUnicode_KIND(marker), PyUnicode_DATA(marker), i):
                        break
                else:
                    return marker
        return None

    cdef int grow(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t room = max(2 * size, UNREAD)
        cdef Py_UCS4* bigger = <Py_UCS4*> PyMem_Realloc(self.data, room * sizeof(Py_UCS4))
        if bigger == NULL:
            raise MemoryError
        self.data = bigger
        self.room = room
        return 0

    cpdef str take(self):
        """All that was put away; it is no more."""
        text = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, self.data, self.used)
        self.used = 0
        if self.room > UNREAD:
            PyMem_Free(self.data)
            self.data = NULL
            self.room = 0
        return text


cdef inline Py_ssize_t copied(
    Py_UCS4* to, unsigned char* source, Py_ssize_t place, Py_ssize_t size, Markers markers
) noexcept:
    """Copies characters from a place on, up to one, and with it, that may end a marker: its place, or `size`."""
    cdef unsigned char character
    while place < size:
        character = source[place]
        to[place] = character
        if markers.ends[character]:
            break
        place += 1
    return place


cdef Py_ssize_t copied_wide(
    Py_UCS4* to, int kind, void* source, Py_ssize_t at, Py_ssize_t place, Py_ssize_t size, Markers markers
) noexcept:
    """The same for characters of any width."""
    cdef Py_UCS4 character
    while place < size:
        character = PyUnicode_READ(kind, source, at + place)
        to[place] = character
        if markers.ends[character] if character < 256 else <unsigned char> has(markers.other_ends, character):
            break
        place += 1
    return place


@final
cdef class Characters:
    """A set of characters: those of `of`, or all but those of `but`."""

    def __init__(self, str of="", str but=""):
        cdef int i
        self.inside = bool(of)
        self.others = "".join([character for character in of or but if ord(character) >= 128])
        for i in range(128):
            self.ascii[i] = (chr(i) in (of or but)) == self.inside

    cpdef Py_ssize_t end(self, str text, Py_ssize_t at) noexcept:
        """The first place, from `at` on, with a character that is not in the set."""
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef void* data = PyUnicode_DATA(text)
        cdef Py_UCS4 character
        while at < length:
            character = PyUnicode_READ(kind, data, at)
            if not self.ascii[character] if character < 128 else has(self.others, character) != self.inside:
                break
            at += 1
        return at


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


cdef inline bint has(str characters, Py_UCS4 character) noexcept:
    cdef Py_ssize_t i
    for i in range(PyUnicode_GET_LENGTH(characters)):
        if characters[i] == character:
            return True
    return False


cdef inline bint is_foreign(Py_UCS4 character) noexcept:
    """Whether neither a literal nor a call has the character outside of strings."""
    return (
        character == c"`" or character == c"?" or character == c"$" or character == c"!" or character == c";"
        or character == c"<" or character == c">" or character == c"@"
    )


cdef inline bint is_white(Py_UCS4 character) noexcept:
    return character == c" " or character == c"\n" or character == c"\t" or character == c"\r"


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


cpdef Py_ssize_t skip_run(str text, Py_ssize_t at, str characters) noexcept:
    """The first place, from `at` on, with a character that is none of `characters`."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t i
    cdef Py_ssize_t count = PyUnicode_GET_LENGTH(characters)
    cdef Py_UCS4 character
    while at < length:
        character = PyUnicode_READ(kind, data, at)
        for i in range(count):
            if characters[i] == character:
                break
        else:
            return at
        at += 1
    return at


cpdef Py_ssize_t skip_white(str text, Py_ssize_t at) noexcept:
    """The first place, from `at` on, with a character that is no white space."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    while at < length and is_white(PyUnicode_READ(kind, data, at)):
        at += 1
    return at


cpdef str begun(tuple texts, str text, Py_ssize_t at):
    """Which of `texts` stands in `text` at a place: whole, or as far as `text` goes. None if none does."""
    cdef Py_ssize_t rest = PyUnicode_GET_LENGTH(text) - at
    cdef Py_ssize_t size
    cdef str begin
    for begin in texts:
        size = PyUnicode_GET_LENGTH(begin)
        if agree(begin, 0, text, at, size if size < rest else rest):
            return begin
    return None


cpdef Py_ssize_t quote_end(str text, Py_ssize_t at, str before) noexcept:
    """Where the quoted text ends that stands behind `before`, from a place on: the place of the quote. -1 if nothing
    like that stands there, or if there are entities in it.
    """
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(before)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_UCS4 character
    if length - at < size or not agree(before, 0, text, at, size):
        return -1
    at += size
    while at < length:
        character = PyUnicode_READ(kind, data, at)
        if character == c'"':
            return at
        if character == c"&":
            return -1
        at += 1
    return -1


cpdef Py_ssize_t rest_in(str marker, Py_ssize_t done, str more) noexcept:
    """Where in `more` a marker ends of which `done` characters have come; 0 if `more` goes on with it and does not
    end it, -1 if it is not the marker.
    """
    cdef Py_ssize_t rest = PyUnicode_GET_LENGTH(marker) - done
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(more)
    if size < rest:
        return 0 if agree(marker, done, more, 0, size) else -1
    return rest if agree(marker, done, more, 0, rest) else -1


cdef bint agree(str one, Py_ssize_t here, str other, Py_ssize_t there, Py_ssize_t size) noexcept:
    """Whether so many characters are the same in both, from a place in each on."""
    cdef int kind = PyUnicode_KIND(one)
    cdef int kind_of_other = PyUnicode_KIND(other)
    cdef char* data = <char*> PyUnicode_DATA(one)
    cdef char* data_of_other = <char*> PyUnicode_DATA(other)
    cdef Py_ssize_t i
    if kind == kind_of_other:  # a kind is how many bytes a character has
        return memcmp(data + here * kind, data_of_other + there * kind, size * kind) == 0
    for i in range(size):
        if PyUnicode_READ(kind, data, here + i) != PyUnicode_READ(kind_of_other, data_of_other, there + i):
            return False
    return True


cpdef str behind(str text, Py_ssize_t at, Py_ssize_t end, str more):
    """What `text` has from `at` to `end`, and `more` behind it."""
    cdef Py_ssize_t rest = end - at
    cdef Py_ssize_t added = PyUnicode_GET_LENGTH(more)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_UCS4 highest = PyUnicode_MAX_CHAR_VALUE(more)  # of all characters: it says how wide they have to be
    cdef Py_ssize_t i
    for i in range(at, end):
        if PyUnicode_READ(kind, data, i) > highest:
            highest = PyUnicode_READ(kind, data, i)
    joined = PyUnicode_New(rest + added, highest)
    copy(joined, 0, text, at, rest)
    copy(joined, rest, more, 0, added)
    return joined


cdef void copy(object to, Py_ssize_t place, str source, Py_ssize_t at, Py_ssize_t count) noexcept:
    """Characters into a string that is made: wide enough for them, though `source` may be wider."""
    cdef int kind = PyUnicode_KIND(to)
    cdef int kind_of_source = PyUnicode_KIND(source)
    cdef char* data = <char*> PyUnicode_DATA(to)
    cdef char* data_of_source = <char*> PyUnicode_DATA(source)
    cdef Py_ssize_t i
    if kind == kind_of_source:  # a kind is how many bytes a character has
        memcpy(data + place * kind, data_of_source + at * kind, count * kind)
        return
    for i in range(count):
        PyUnicode_WRITE(kind, data, place + i, PyUnicode_READ(kind_of_source, data_of_source, at + i))


cpdef object go_on(object steps):
    """Let a generator run to its next `yield`, which gives nothing: WAITS. Or, if it has ended, what it returned.

    Like `next`, without an exception for the end.
    """
    cdef PyObject* given = NULL
    cdef int sent = PyIter_Send(steps, None, &given)
    result = <object> given if sent == RETURNED else WAITS
    Py_XDECREF(given)
    return result
