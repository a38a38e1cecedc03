# Writing text into memory that is large enough: each gives the place behind what it wrote. And whether text is ASCII.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy


cdef inline char* put(char* at, const char* data, Py_ssize_t size) noexcept:
    memcpy(at, data, size)
    return at + size


cdef inline char* put_bytes(char* at, bytes data) noexcept:
    return put(at, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline char* put_number(char* at, unsigned long long number) noexcept:
    """Its decimal digits; `snprintf` takes 800 instructions for that."""
    cdef char digits[24]
    cdef int begin = 24
    while True:
        begin -= 1
        digits[begin] = <char>(c'0' + number % 10)
        number //= 10
        if number == 0:
            return put(at, &digits[begin], 24 - begin)


cdef inline bint is_ascii(const char* text, Py_ssize_t size) noexcept:
    cdef unsigned char found = 0
    cdef Py_ssize_t place
    for place in range(size):
        found |= <unsigned char>text[place]
    return found < 0x80
