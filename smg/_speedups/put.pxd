# Writing text into memory that is large enough; each gives the place behind what it wrote.

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
