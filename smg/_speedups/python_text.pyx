# cython: language_level=3, boundscheck=False, wraparound=False
"""Reads the usual forms of what models write as Python: literals, and lists of calls.

Strings, numbers, lists, dicts with strings as keys, words. Whatever is unusual (prefixes and rare escapes of strings,
tuples, operators, mistakes) makes the result None: then the standard library's parser decides, which takes ten times as
long. What is read here is what that parser reads; a test compares them.
"""

from cpython.unicode cimport (
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
    PyUnicode_Substring,
)

from keyword import kwlist

cdef enum:
    DEPTH = 64
    DIGITS = 18

cdef frozenset KEYWORDS = frozenset(kwlist) | {"__debug__"}
cdef dict WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}


class Unusual(Exception):
    """Not for us."""


def literal(str source not None):
    """The value of a literal, in a tuple; bare words are strings."""
    try:
        reader = Reader(source)
        value = reader.value(0)
        reader.at_end()
    except Unusual:
        return None
    return (value,)


def calls(str source not None):
    """Of a list of calls with keyword arguments: name, arguments and text of each."""
    cdef Reader reader = Reader(source)
    cdef list found = []
    cdef Py_ssize_t begin
    try:
        reader.expect(c"[")
        while True:
            begin = reader.at
            name = reader.word()
            found.append((name, reader.arguments(), PyUnicode_Substring(source, begin, reader.at)))
            if not reader.another(c"]"):
                break
        reader.at_end()
    except Unusual:
        return None
    return found


cdef class Reader:
    """A place in the source."""

    cdef str text
    cdef int kind
    cdef void* data
    cdef Py_ssize_t length, at

    def __cinit__(self, str text not None):
        self.text = text
        self.kind = PyUnicode_KIND(text)
        self.data = PyUnicode_DATA(text)
        self.length = PyUnicode_GET_LENGTH(text)
        self.at = 0

    cdef Py_UCS4 peek(self) noexcept:
        """The character at the place; 0 at the end."""
        return PyUnicode_READ(self.kind, self.data, self.at) if self.at < self.length else 0

    cdef Py_UCS4 space(self) noexcept:
        """The next character that is no white space."""
        cdef Py_UCS4 character = self.peek()
        while character == c" " or character == c"\n" or character == c"\t":
            self.at += 1
            character = self.peek()
        return character

    cdef int expect(self, Py_UCS4 character) except -1:
        """That character, and what space stands before and behind it."""
        if self.space() != character:
            raise Unusual
        self.at += 1
        self.space()
        return 0

    cdef bint another(self, Py_UCS4 closing) except -1:
        """Behind an element: whether another follows; consumes the comma, or what closes."""
        cdef Py_UCS4 character = self.space()
        if character == c",":
            self.at += 1
            character = self.space()
            if character != closing:
                return True
        if character != closing:
            raise Unusual
        self.at += 1
        return False

    cdef int at_end(self) except -1:
        self.space()
        if self.at < self.length:
            raise Unusual
        return 0

    cdef object value(self, int depth):
        cdef Py_UCS4 character = self.space()
        if depth > DEPTH:
            raise Unusual
        if character == c'"' or character == c"'":
            return self.string(character)
        if character == c"[":
            return self.elements(depth)
        if character == c"{":
            return self.members(depth)
        if c"0" <= character <= c"9" or character == c"-" or character == c"+":
            return self.number()
        name = self.word()
        return WORDS.get(name, name)

    cdef list elements(self, int depth):
        cdef list found = []
        self.at += 1
        if self.space() == c"]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth + 1))
            if not self.another(c"]"):
                return found

    cdef dict members(self, int depth):
        cdef dict found = {}
        cdef Py_UCS4 quote
        self.at += 1
        if self.space() == c"}":
            self.at += 1
            return found
        while True:
            quote = self.space()
            if quote != c'"' and quote != c"'":
                raise Unusual
            key = self.string(quote)
            self.expect(c":")
            found[key] = self.value(depth + 1)
            if not self.another(c"}"):
                return found

    cdef dict arguments(self):
        """What a call has in its parentheses."""
        cdef dict found = {}
        self.expect(c"(")
        if self.peek() == c")":
            self.at += 1
            return found
        while True:
            self.space()
            key = self.word()
            self.expect(c"=")
            if key in found:
                raise Unusual
            found[key] = self.value(1)
            if not self.another(c")"):
                return found

    cdef str word(self):
        """An identifier of ASCII."""
        cdef Py_ssize_t begin = self.at
        while is_word(self.peek()):
            self.at += 1
        name = PyUnicode_Substring(self.text, begin, self.at)
        cdef Py_UCS4 following = self.peek()
        # A quote: the word is a string's prefix. Beyond ASCII: it may go on.
        if begin == self.at or name[0] in "0123456789" or following >= 128:
            raise Unusual
        if following == c'"' or following == c"'" or (name in KEYWORDS and name not in WORDS):
            raise Unusual
        return name

    cdef object number(self):
        """An integer or float in decimal digits, with a sign."""
        cdef bint negative = self.peek() == c"-"
        cdef bint is_float = False
        cdef Py_ssize_t begin
        if negative or self.peek() == c"+":
            self.at += 1
        begin = self.at
        cdef Py_ssize_t digits = self.digits()
        if digits == 0 or digits > DIGITS or (digits > 1 and PyUnicode_READ(self.kind, self.data, begin) == c"0"):
            raise Unusual
        if self.peek() == c".":
            is_float = True
            self.at += 1
            if self.digits() == 0:
                raise Unusual
        if self.peek() == c"e" or self.peek() == c"E":
            is_float = True
            self.at += 1
            if self.peek() == c"-" or self.peek() == c"+":
                self.at += 1
            digits = self.digits()
            if digits == 0 or digits > 2:  # nothing that is not finite
                raise Unusual
        if is_word(self.peek()) or self.peek() == c"." or self.peek() >= 128:
            raise Unusual
        text = PyUnicode_Substring(self.text, begin, self.at)
        found = float(text) if is_float else int(text)
        return -found if negative else found

    cdef Py_ssize_t digits(self) noexcept:
        """Consumes digits; how many."""
        cdef Py_ssize_t begin = self.at
        while c"0" <= self.peek() <= c"9":
            self.at += 1
        return self.at - begin

    cdef str string(self, Py_UCS4 quote):
        """A string of one line, with the usual escapes."""
        cdef list pieces = None
        cdef Py_ssize_t begin
        cdef Py_UCS4 character
        self.at += 1
        begin = self.at
        while True:
            character = self.peek()
            if character == quote:
                break
            if character == c"\\":
                if pieces is None:
                    pieces = []
                pieces.append(PyUnicode_Substring(self.text, begin, self.at))
                self.at += 1
                pieces.append(escaped(self.peek()))
                self.at += 1
                begin = self.at
                continue
            # 0 is also the end of the text. Surrogates cannot be encoded, which that parser does first.
            if character == 0 or character == c"\n" or character == c"\r" or 0xD800 <= character < 0xE000:
                raise Unusual
            self.at += 1
        found = PyUnicode_Substring(self.text, begin, self.at)
        self.at += 1
        if pieces is not None:
            pieces.append(found)
            found = "".join(pieces)
        # A quote behind it: three of them, or a string that is joined to this one.
        character = self.space()
        if character == c'"' or character == c"'":
            raise Unusual
        return found


cdef str escaped(Py_UCS4 character):
    """What a backslash and the character mean."""
    if character == c"n":
        return "\n"
    if character == c"t":
        return "\t"
    if character == c"\\":
        return "\\"
    if character == c"'":
        return "'"
    if character == c'"':
        return '"'
    raise Unusual


cdef bint is_word(Py_UCS4 character) noexcept:
    return (
        c"a" <= character <= c"z" or c"A" <= character <= c"Z" or c"0" <= character <= c"9" or character == c"_"
    )
