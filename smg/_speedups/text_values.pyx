# cython: language_level=3, boundscheck=False, wraparound=False
"""From the text of a parameter to JSON, where that is plain: words, usual numbers, text that is neither, and JSON
without escapes.

A model's arguments are mostly short, and `int`, `float` and a regular expression take longer to refuse a date than
to read a number. Whatever is unusual (numbers that Python would write in another way, keys that come twice) makes the
result None: then `parsers/coercion.py` decides. What is decided here is decided there in the same way; a test compares
them.
"""

from cpython.unicode cimport (
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
    PyUnicode_Substring,
)

from json.encoder import encode_basestring

from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) noexcept
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    Py_UCS4 PyUnicode_MAX_CHAR_VALUE(object text) noexcept
    void PyUnicode_WRITE(int kind, void* data, Py_ssize_t index, Py_UCS4 character) noexcept

cdef enum:
    WORD = 5        # characters of the longest word
    DIGITS = 15     # as many a float holds exactly
    SMALL = 18      # digits of integers that fit into 64 bits whatever they are
    LEVELS = 32     # of nesting
    MEMBERS = 32    # of an object, whose keys are compared with each other
    NO_JSON = -1    # or unusual

    # what text is, if it is not unusual
    NO_NUMBER = 0
    PLAIN = 1
    ODD = 2

cdef dict WORDS = {
    "true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"
}
cdef dict LITERALS = {"true": "true", "false": "false", "null": "null"}


cpdef str plain_value(str raw, bint pythons):
    """The JSON text of a word, a number or plain text; None if that takes a closer look. `pythons`: words are also as
    Python writes them, and white space around them is what Python takes for it.
    """
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(raw)
    cdef int kind = PyUnicode_KIND(raw)
    cdef void* data = PyUnicode_DATA(raw)
    cdef Py_ssize_t begin = 0
    cdef Py_ssize_t end = length
    cdef Py_UCS4 first
    cdef int number
    cdef str word
    while begin < end and is_space(PyUnicode_READ(kind, data, begin), pythons):
        begin += 1
    while end > begin and is_space(PyUnicode_READ(kind, data, end - 1), pythons):
        end -= 1
    if begin < end:
        first = PyUnicode_READ(kind, data, begin)
        if first == c"{" or first == c"[" or first == c'"':
            return None
        if c"0" <= first <= c"9" or first == c"-" or first == c"+" or first == c".":
            number = is_number(kind, data, begin, end)
            if number == ODD:
                return None
            if number == PLAIN:
                return PyUnicode_Substring(raw, begin, end)
        elif end - begin <= WORD:
            word = (WORDS if pythons else LITERALS).get(PyUnicode_Substring(raw, begin, end))
            if word is not None:
                return word
    # Whether white space around text belongs to it is for the format to say.
    return quoted(raw) if end - begin == length else None


# JSON that is read, and how much white space there is between its tokens.
cdef struct Json:
    int kind
    void* data
    Py_ssize_t end
    Py_ssize_t white


cpdef str compact(str text):
    """JSON without the white space between its tokens; None if it is no JSON, or if reading it and writing it again
    might change more than that: escapes, unusual numbers, a key that comes twice. Neither end is white space.
    """
    cdef Json json
    json.kind = PyUnicode_KIND(text)
    json.data = PyUnicode_DATA(text)
    json.end = PyUnicode_GET_LENGTH(text)
    json.white = 0
    if value_end(&json, 0, 0) != json.end:
        return None
    return without_white(text, &json) if json.white else text


cdef str without_white(str text, Json* json):
    """The text without white space outside of strings; there are no escapes in them."""
    cdef Py_UCS4 character
    cdef Py_ssize_t at
    cdef Py_ssize_t place = 0
    cdef bint in_string = False
    out = PyUnicode_New(json.end - json.white, PyUnicode_MAX_CHAR_VALUE(text))
    cdef void* data = PyUnicode_DATA(out)
    for at in range(json.end):
        character = PyUnicode_READ(json.kind, json.data, at)
        if character == c'"':
            in_string = not in_string
        elif not in_string and is_space(character, False):
            continue
        PyUnicode_WRITE(json.kind, data, place, character)
        place += 1
    return out


cdef Py_ssize_t value_end(Json* json, Py_ssize_t at, int depth) noexcept:
    """The place behind the value that stands at a place, or NO_JSON; as of all these."""
    cdef Py_UCS4 first
    if at == json.end:
        return NO_JSON
    first = PyUnicode_READ(json.kind, json.data, at)
    if first == c'"':
        return string_end(json, at)
    if first == c"{":
        return NO_JSON if depth == LEVELS else object_end(json, at, depth)
    if first == c"[":
        return NO_JSON if depth == LEVELS else array_end(json, at, depth)
    return scalar_end(json, at)


cdef Py_ssize_t object_end(Json* json, Py_ssize_t at, int depth) noexcept:
    cdef Py_ssize_t keys[MEMBERS]
    cdef Py_ssize_t ends[MEMBERS]
    cdef int count = 0
    cdef int i
    at = white_end(json, at + 1)
    if stands(json, at, c"}"):
        return at + 1
    while count < MEMBERS and stands(json, at, c'"'):
        keys[count] = at
        at = string_end(json, at)
        if at == NO_JSON:
            return NO_JSON
        ends[count] = at
        for i in range(count):
            if same(json, keys[i], ends[i], keys[count], at):
                return NO_JSON
        count += 1
        at = white_end(json, at)
        if not stands(json, at, c":"):
            return NO_JSON
        at = value_end(json, white_end(json, at + 1), depth + 1)
        if at == NO_JSON:
            return NO_JSON
        at = white_end(json, at)
        if stands(json, at, c"}"):
            return at + 1
        if not stands(json, at, c","):
            return NO_JSON
        at = white_end(json, at + 1)
    return NO_JSON


cdef Py_ssize_t array_end(Json* json, Py_ssize_t at, int depth) noexcept:
    at = white_end(json, at + 1)
    if stands(json, at, c"]"):
        return at + 1
    while True:
        at = value_end(json, at, depth + 1)
        if at == NO_JSON:
            return NO_JSON
        at = white_end(json, at)
        if stands(json, at, c"]"):
            return at + 1
        if not stands(json, at, c","):
            return NO_JSON
        at = white_end(json, at + 1)


cdef Py_ssize_t string_end(Json* json, Py_ssize_t at) noexcept:
    cdef Py_UCS4 character
    at += 1
    while at < json.end:
        character = PyUnicode_READ(json.kind, json.data, at)
        if character == c'"':
            return at + 1
        if character < 0x20 or character == c"\\" or 0xD800 <= character <= 0xDFFF:  # or half a character
            return NO_JSON
        at += 1
    return NO_JSON


cdef Py_ssize_t scalar_end(Json* json, Py_ssize_t begin) noexcept:
    cdef Py_ssize_t at = begin
    cdef Py_UCS4 character
    while at < json.end:
        character = PyUnicode_READ(json.kind, json.data, at)
        if character == c"," or character == c"]" or character == c"}" or is_space(character, False):
            break
        at += 1
    if at == begin:
        return NO_JSON
    character = PyUnicode_READ(json.kind, json.data, begin)
    if c"0" <= character <= c"9" or character == c"-":
        return at if is_number(json.kind, json.data, begin, at) == PLAIN else NO_JSON
    if spells(json, begin, at, b"true", 4) or spells(json, begin, at, b"false", 5):
        return at
    return at if spells(json, begin, at, b"null", 4) else NO_JSON


cdef bint spells(Json* json, Py_ssize_t begin, Py_ssize_t end, const char* word, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    if end - begin != size:
        return False
    for i in range(size):
        if PyUnicode_READ(json.kind, json.data, begin + i) != <Py_UCS4> word[i]:
            return False
    return True


cdef bint same(Json* json, Py_ssize_t one, Py_ssize_t end, Py_ssize_t other, Py_ssize_t end_of_other) noexcept:
    """Whether two parts of the text are the same."""
    cdef char* data = <char*> json.data
    if end - one != end_of_other - other:
        return False
    # A kind is how many bytes a character has.
    return memcmp(data + one * json.kind, data + other * json.kind, (end - one) * json.kind) == 0


cdef inline bint stands(Json* json, Py_ssize_t at, Py_UCS4 character) noexcept:
    return at < json.end and PyUnicode_READ(json.kind, json.data, at) == character


cdef inline Py_ssize_t white_end(Json* json, Py_ssize_t at) noexcept:
    while at < json.end and is_space(PyUnicode_READ(json.kind, json.data, at), False):
        at += 1
        json.white += 1
    return at


cpdef str stripped(str raw):
    """`raw` without what Python takes for white space at its ends."""
    return without_ends(raw, True)


cpdef str json_stripped(str raw):
    """`raw` without what JSON takes for white space at its ends."""
    return without_ends(raw, False)


cdef inline str without_ends(str raw, bint pythons):
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(raw)
    cdef int kind = PyUnicode_KIND(raw)
    cdef void* data = PyUnicode_DATA(raw)
    cdef Py_ssize_t begin = 0
    cdef Py_ssize_t end = length
    while begin < end and is_space(PyUnicode_READ(kind, data, begin), pythons):
        begin += 1
    while end > begin and is_space(PyUnicode_READ(kind, data, end - 1), pythons):
        end -= 1
    return raw if end - begin == length else PyUnicode_Substring(raw, begin, end)


cpdef str quoted(str raw):
    """`raw` as a JSON string."""
    cdef Py_ssize_t size
    if not is_clean(raw):
        return encode_basestring(raw)
    size = PyUnicode_GET_LENGTH(raw)
    out = PyUnicode_New(size + 2, PyUnicode_MAX_CHAR_VALUE(raw))
    put(out, 0, c'"')
    copy(out, 1, raw)
    put(out, size + 1, c'"')
    return out


cpdef str member_text(str before, str key, str value):
    """`before`, a key as a JSON string, a colon and `value`."""
    cdef Py_ssize_t place, size
    cdef Py_UCS4 highest
    if not is_clean(key):
        return f"{before}{encode_basestring(key)}:{value}"
    highest = max(PyUnicode_MAX_CHAR_VALUE(key), PyUnicode_MAX_CHAR_VALUE(value))
    place = PyUnicode_GET_LENGTH(before)
    size = PyUnicode_GET_LENGTH(key)
    out = PyUnicode_New(place + size + 3 + PyUnicode_GET_LENGTH(value), highest)
    copy(out, 0, before)
    put(out, place, c'"')
    copy(out, place + 1, key)
    put(out, place + 1 + size, c'"')
    put(out, place + 2 + size, c":")
    copy(out, place + 3 + size, value)
    return out


cdef inline void put(object to, Py_ssize_t place, Py_UCS4 character) noexcept:
    PyUnicode_WRITE(PyUnicode_KIND(to), PyUnicode_DATA(to), place, character)


cdef void copy(object to, Py_ssize_t place, str source) noexcept:
    """Characters into a string that is made, and as wide as `source` or wider."""
    cdef int kind = PyUnicode_KIND(to)
    cdef int kind_of_source = PyUnicode_KIND(source)
    cdef void* data = PyUnicode_DATA(to)
    cdef void* data_of_source = PyUnicode_DATA(source)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(source)
    cdef Py_ssize_t i
    if kind == kind_of_source:  # a kind is how many bytes a character has
        memcpy(<char*> data + place * kind, data_of_source, size * kind)
        return
    for i in range(size):
        PyUnicode_WRITE(kind, data, place + i, PyUnicode_READ(kind_of_source, data_of_source, i))


cpdef str escaped(str raw):
    """The inside of `quoted`."""
    cdef str text
    if is_clean(raw):
        return raw
    text = encode_basestring(raw)
    return text[1:len(text) - 1]


cdef bint is_clean(str raw) noexcept:
    """Whether nothing in it has to be escaped."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(raw)
    cdef int kind = PyUnicode_KIND(raw)
    cdef void* data = PyUnicode_DATA(raw)
    cdef Py_ssize_t at
    cdef Py_UCS4 character
    for at in range(length):
        character = PyUnicode_READ(kind, data, at)
        if character < 0x20 or character == c'"' or character == c"\\":
            return False
    return True


cpdef bint has_long_number(str text) noexcept:
    """Whether there are so many digits in a row that 64 bits may not hold them."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t at
    cdef int digits = 0
    for at in range(length):
        if is_digit(PyUnicode_READ(kind, data, at)):
            digits += 1
            if digits > SMALL:
                return True
        else:
            digits = 0
    return False


cdef inline bint is_space(Py_UCS4 character, bint pythons) noexcept:
    if character > 32:
        return pythons and character > 127 and Py_UNICODE_ISSPACE(character)
    return character == 32 or character == 10 or character == 9 or character == 13 or (
        pythons and Py_UNICODE_ISSPACE(character)
    )


cdef int is_number(int kind, void* data, Py_ssize_t at, Py_ssize_t end) noexcept:
    """NO_NUMBER: neither JSON nor `float` read it. PLAIN: it is what Python would write too. ODD: another one."""
    cdef Py_ssize_t whole, fraction
    cdef Py_UCS4 sign = PyUnicode_READ(kind, data, at)
    cdef Py_ssize_t begin
    if sign == c"-" or sign == c"+":
        at += 1
    begin = at
    at = digits_end(kind, data, at, end)
    whole = at - begin
    if at == end:
        if whole == 0:
            return NO_NUMBER
        if sign == c"+" or whole > SMALL or PyUnicode_READ(kind, data, begin) == c"0" and (whole > 1 or sign == c"-"):
            return ODD
        return PLAIN
    fraction = -1
    if PyUnicode_READ(kind, data, at) == c".":
        begin = at + 1
        at = digits_end(kind, data, begin, end)
        fraction = at - begin
        if whole + fraction == 0:
            return NO_NUMBER
        if at == end:
            return PLAIN if is_short(kind, data, begin - 1 - whole, whole, fraction, sign) else ODD
    elif whole == 0:
        return NO_NUMBER
    return ODD if is_exponent(kind, data, at, end) else NO_NUMBER


cdef bint is_short(int kind, void* data, Py_ssize_t at, Py_ssize_t whole, Py_ssize_t fraction, Py_UCS4 sign) noexcept:
    """Whether Python writes a number with these digits around its point, from `at` on, in the same way: neither digits
    that a float cannot hold, nor zeros that say nothing, nor so small that there would be an exponent.
    """
    if sign == c"+" or whole == 0 or fraction <= 0 or whole + fraction > DIGITS:
        return False
    if fraction > 1 and PyUnicode_READ(kind, data, at + whole + fraction) == c"0":
        return False
    if PyUnicode_READ(kind, data, at) != c"0":
        return True
    return whole == 1 and (fraction == 1 or PyUnicode_READ(kind, data, at + 2) != c"0")


cdef bint is_exponent(int kind, void* data, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Whether an exponent stands there, and nothing else."""
    cdef Py_UCS4 character = PyUnicode_READ(kind, data, at)
    if character != c"e" and character != c"E":
        return False
    at += 1
    if at < end:
        character = PyUnicode_READ(kind, data, at)
        if character == c"+" or character == c"-":
            at += 1
    return at < end and digits_end(kind, data, at, end) == end


cdef Py_ssize_t digits_end(int kind, void* data, Py_ssize_t at, Py_ssize_t end) noexcept:
    """The place behind the digits that stand from `at` on."""
    while at < end and is_digit(PyUnicode_READ(kind, data, at)):
        at += 1
    return at


cdef inline bint is_digit(Py_UCS4 character) noexcept:
    return c"0" <= character <= c"9"
