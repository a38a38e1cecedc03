# cython: language_level=3, boundscheck=False, wraparound=False
"""The loops over characters that the parsers' engine spends its time in.

The classes here read text that arrives in pieces and decide only on what no later text can change. They work on the
characters of a `str` in place: a piece that needs no change is given on as the very object that came. Plain twins,
which the tests use as oracle, are in tests/unit/parsers/plain.py.
"""

from cython cimport final

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from cpython.unicode cimport (
    PyUnicode_4BYTE_KIND,
    PyUnicode_DATA,
    PyUnicode_FromKindAndData,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
)
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    int PyIter_Send(object iterator, object value, PyObject** result) except -1
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    bint PyUnicode_IS_ASCII(object text) noexcept
    Py_UCS4 PyUnicode_MAX_CHAR_VALUE(object text) noexcept
    void PyUnicode_WRITE(int kind, void* data, Py_ssize_t index, Py_UCS4 character) noexcept

cdef enum:
    RETURNED = 0    # PYGEN_RETURN
    UNREAD = 256    # characters whose memory is kept for the next

#: what `go_on` gives for a generator that has not ended
WAITS = object()


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
        if PyUnicode_IS_ASCII(text) and self.used + size <= self.room:
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
        if not PyUnicode_IS_ASCII(text):
            self.wide = True
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
        cdef Py_ssize_t at
        cdef Py_UCS4* data = self.data
        cdef unsigned char* narrow
        if self.wide:
            text = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, self.data, self.used)
            self.wide = False
        else:
            text = PyUnicode_New(self.used, 127)
            narrow = <unsigned char*> PyUnicode_DATA(text)
            for at in range(self.used):
                narrow[at] = <unsigned char> data[at]
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


cdef inline bint has(str characters, Py_UCS4 character) noexcept:
    cdef Py_ssize_t i
    for i in range(PyUnicode_GET_LENGTH(characters)):
        if characters[i] == character:
            return True
    return False


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
    like that stands there, or if an entity or a token may stand in it.
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
        if character == c"&" or character == c"<":
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
