# cython: language_level=3, boundscheck=False, wraparound=False
"""The header `traceparent` of requests that are not sampled, which are nearly all while traces are on: drawn where a
trace begins here, found and passed by where the caller sent one.

What the header may look like is said by `smg.observability.tracing.context`; here is only its usual form.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

cdef const char* NAME = b"traceparent"
cdef Py_ssize_t NAME_SIZE = 11
# 00-<32 digits>-<16 digits>-<2 digits>
cdef Py_ssize_t SIZE = 55
cdef const char* VERSION = b"00-"
# the two digits of each byte
cdef char[512] DIGITS
for number in range(256):
    memcpy(&DIGITS[2 * number], PyBytes_AS_STRING(b"%02x" % number), 2)


cdef inline uint64_t rotated(uint64_t value, int count) noexcept nogil:
    return (value << count) | (value >> (64 - count))


cdef inline char* put_digits(char* at, uint64_t value) noexcept nogil:
    """16 hexadecimal digits."""
    cdef int shift
    for shift in range(56, -8, -8):
        memcpy(at, &DIGITS[2 * ((value >> shift) & 255)], 2)
        at += 2
    return at


cdef inline int digits_at(const char* at, int count) noexcept nogil:
    """1 for lower-case hexadecimal digits, 0 for nothing but zeros, -1 for anything else."""
    cdef int index, found = 0
    for index in range(count):
        if not (c'0' <= at[index] <= c'9' or c'a' <= at[index] <= c'f'):
            return -1
        if at[index] != c'0':
            found = 1
    return found


cdef class TraceIds:
    """Draws the ids of traces that begin here, and says which are `sampled`: those whose last 64 bits are below `bound`
    (all from 2**64 on), as OpenTelemetry's TraceIdRatioBased decides.

    `seed`: 32 random bytes. Ids must be unlike each other, not secret: xoshiro256++ (Blackman and Vigna) draws one for
    a thousandth of what `os.urandom` takes.
    """

    def __init__(self, bytes seed, object bound):
        if len(seed) != 32 or not any(seed):
            raise ValueError("a seed is 32 bytes, not all zero")
        memcpy(&self._a, PyBytes_AS_STRING(seed), 8)
        memcpy(&self._b, PyBytes_AS_STRING(seed) + 8, 8)
        memcpy(&self._c, PyBytes_AS_STRING(seed) + 16, 8)
        memcpy(&self._d, PyBytes_AS_STRING(seed) + 24, 8)
        self._all = bound >= 1 << 64
        self._bound = 0 if self._all else bound
        self.sampled = False

    cdef uint64_t _next(self) noexcept:
        cdef uint64_t drawn = rotated(self._a + self._d, 23) + self._a
        cdef uint64_t shifted = self._b << 17
        self._c ^= self._a
        self._d ^= self._b
        self._b ^= self._c
        self._a ^= self._d
        self._c ^= shifted
        self._d = rotated(self._d, 45)
        return drawn

    @property
    def trace_id(self):
        return <object>self._high << 64 | self._low

    cpdef bytes traceparent(self):
        """The header's value for a trace that begins here; afterwards `sampled` and the ids are about this one."""
        cdef bytes value = PyBytes_FromStringAndSize(NULL, SIZE)
        cdef char* at = PyBytes_AS_STRING(value)
        cdef uint64_t high = self._next(), low = self._next(), span = self._next()
        self.sampled = self._all or low < self._bound
        high |= high == 0  # ids of zeros mean that there is none
        span |= span == 0
        memcpy(at, VERSION, 3)
        self._high = high
        self._low = low
        self.span_id = span
        at = put_digits(put_digits(at + 3, high), low)
        at[0] = c'-'
        at = put_digits(at + 1, span)
        at[0] = c'-'
        at[1] = c'0'
        at[2] = c'1' if self.sampled else c'0'
        return value


cpdef Py_ssize_t find_traceparent(list headers, Py_ssize_t start) noexcept:
    """The place of the first `traceparent` in (lower-case name, value) pairs from `start` on; -1 without one."""
    cdef Py_ssize_t place
    cdef bytes name
    for place in range(start, len(headers)):
        name = <bytes>(<tuple>headers[place])[0]
        if PyBytes_GET_SIZE(name) == NAME_SIZE and memcmp(PyBytes_AS_STRING(name), NAME, NAME_SIZE) == 0:
            return place
    return -1


cpdef bint is_unsampled(bytes value) noexcept:
    """Whether `value` is well-formed, of version 00 and without `sampled`. False may mean anything."""
    cdef const char* at = PyBytes_AS_STRING(value)
    return (
        PyBytes_GET_SIZE(value) == SIZE
        and memcmp(at, VERSION, 3) == 0
        and at[35] == c'-'
        and at[52] == c'-'
        and digits_at(at + 3, 32) == 1
        and digits_at(at + 36, 16) == 1
        and digits_at(at + 53, 2) >= 0
        # The last digit is even: bit 0 is `sampled`. ASCII digits and letters from `a` differ in parity.
        and (at[54] & 1) == (0 if at[54] <= c'9' else 1)
    )
