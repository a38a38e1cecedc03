# cython: language_level=3, boundscheck=False, wraparound=False
"""Writes a line of the access log in one buffer; joining and formatting str took three times as long.

What stands in it is said by `smg.observability.access_lines`; here is only the copying.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeUTF8, PyUnicode_New

from smg._speedups.put cimport is_ascii, put, put_bytes, put_number


cdef inline bint is_plain(bytes value) noexcept:
    """Whether JSON writes `value` as it is."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(value)
    cdef Py_ssize_t index
    for index in range(PyBytes_GET_SIZE(value)):
        if at[index] < 0x20 or at[index] > 0x7E or at[index] == c'"' or at[index] == c'\\':
            return False
    return True


cpdef str json_line(bytes stamp, int milliseconds, bytes middle, bytes request_id, long status, long long latency):
    """The line without its newline; None when `request_id` cannot stand in JSON as it is.

    `stamp`: the time up to its milliseconds (0 to 999). `middle`: what is between the time and the id, in UTF-8.
    `status` 0: the line of a request that came. Neither it nor `latency` (microseconds) may be negative.
    """
    if not is_plain(request_id):
        return None
    cdef Py_ssize_t size = PyBytes_GET_SIZE(stamp) + PyBytes_GET_SIZE(middle) + PyBytes_GET_SIZE(request_id)
    # The end: 16 + 15 + 11 bytes of text, two numbers of at most 20 digits, a brace
    cdef char[83] end
    cdef char* at = put(end, '","module":"smg"', 16)
    if status != 0:
        at = put_number(put(at, ',"status_code":', 15), status)
        at = put_number(put(at, ',"latency":', 11), latency)
    at[0] = c'}'
    cdef Py_ssize_t last = at + 1 - end
    # Written straight into the str where it can be: decoding would look at all and copy it once more.
    cdef bint ascii = is_ascii(PyBytes_AS_STRING(middle), PyBytes_GET_SIZE(middle))
    cdef str text = None
    cdef bytes buffer = None
    cdef char* begin
    size += 14 + 4 + last
    if ascii:
        text = PyUnicode_New(size, 127)
        begin = <char*>PyUnicode_1BYTE_DATA(text)
    else:
        buffer = PyBytes_FromStringAndSize(NULL, size)
        begin = PyBytes_AS_STRING(buffer)
    at = put(begin, '{"timestamp":"', 14)
    at = put_bytes(at, stamp)
    at[0] = <char>(c'0' + milliseconds // 100)
    at[1] = <char>(c'0' + milliseconds // 10 % 10)
    at[2] = <char>(c'0' + milliseconds % 10)
    at[3] = c'Z'
    at = put_bytes(at + 4, middle)
    put(put_bytes(at, request_id), end, last)
    return text if ascii else PyUnicode_DecodeUTF8(begin, size, NULL)
