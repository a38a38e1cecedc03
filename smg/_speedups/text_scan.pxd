# What the parsers' engine calls without going through Python.
from cython cimport final


@final
cdef class Markers:
    cdef readonly tuple texts
    cdef unsigned char begins[256]  # whether a marker begins with the character
    cdef str others                 # the same for all other characters
    cdef unsigned char ends[256]    # whether a marker ends with it
    cdef str other_ends

    cpdef Py_ssize_t find(self, str text, Py_ssize_t at, bint closed) except -1
    cpdef bint may_end(self, str text, Py_ssize_t at) noexcept
    cdef Py_ssize_t narrow_beginning(self, unsigned char* data, Py_ssize_t at, Py_ssize_t length) noexcept
    cdef bint ends_narrow(self, unsigned char* data, Py_ssize_t size) noexcept


@final
cdef class Unread:
    cdef Py_UCS4* data
    cdef readonly Py_ssize_t used
    cdef Py_ssize_t room
    cdef bint wide                  # whether there may be characters beyond ASCII
    cdef readonly str marker

    cpdef Py_ssize_t add(self, str text, Py_ssize_t at, Markers markers) except -1
    cdef Py_ssize_t add_ending(self, str text, Py_ssize_t at, Py_ssize_t size, Markers markers) except -1
    cdef str ending(self, Py_ssize_t end, tuple markers)
    cdef int grow(self, Py_ssize_t size) except -1
    cpdef str take(self)


@final
cdef class Characters:
    cdef bint inside
    cdef unsigned char ascii[128]   # whether the set has the character
    cdef str others                 # what it has, or has not, of all other characters

    cpdef Py_ssize_t end(self, str text, Py_ssize_t at) noexcept


cpdef Py_ssize_t skip_run(str text, Py_ssize_t at, str characters) noexcept
cpdef Py_ssize_t skip_white(str text, Py_ssize_t at) noexcept
cpdef str begun(tuple texts, str text, Py_ssize_t at)
cpdef Py_ssize_t quote_end(str text, Py_ssize_t at, str before) noexcept
cpdef Py_ssize_t rest_in(str marker, Py_ssize_t done, str more) noexcept
cpdef str behind(str text, Py_ssize_t at, Py_ssize_t end, str more)
cpdef object go_on(object steps)


cdef inline bint is_white(Py_UCS4 character) noexcept:
    return character == c" " or character == c"\n" or character == c"\t" or character == c"\r"
