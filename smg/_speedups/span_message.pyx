# cython: language_level=3, boundscheck=False, wraparound=False
"""Spans as OTLP's protobuf has them, written into one buffer: through protobuf's own objects a span costs six times as
much, with the interpreter lock held, which the event loop waits for.

Field numbers: opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto. Tests hold the messages against the
SDK's.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from smg._speedups.put cimport is_ascii

cdef enum:
    SERVER = 2
    ERROR = 2
    # wire types
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5
    # Whether the parent is of another process is known (it is), and so is that there is none.
    KNOWN = 0x100
    REMOTE = 0x300


cdef inline char* put_varint(char* at, uint64_t value) noexcept:
    while value >= 0x80:
        at[0] = <char>(value & 0x7F | 0x80)
        value >>= 7
        at += 1
    at[0] = <char>value
    return at + 1


cdef inline Py_ssize_t varint_size(uint64_t value) noexcept:
    cdef Py_ssize_t size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline char* put_big(char* at, uint64_t value) noexcept:
    """8 bytes, the highest first."""
    cdef int shift
    for shift in range(56, -8, -8):
        at[0] = <char>(value >> shift & 0xFF)
        at += 1
    return at


cdef bytes plain(object value):
    """A text that is no plain UTF-8, as UTF-8. Protobuf would refuse the whole request for one lone surrogate."""
    if isinstance(value, bytes):
        value = (<bytes>value).decode("utf-8", "backslashreplace")
    return (<str>value).encode("utf-8", "backslashreplace")


cdef class SpanMessages:
    """Collects spans. `messages` are the members `spans` of a ScopeSpans; `texts` are all texts in them that somebody
    else may have chosen, one after another, to look for secrets in. With `redact` every such text passes through it.
    """

    def __cinit__(self, object redact=None):
        self._redact = redact

    def __dealloc__(self):
        PyMem_Free(self._data)
        PyMem_Free(self._seen)

    cdef char* _more(self, Py_ssize_t size) except NULL:
        """Where to write up to `size` bytes."""
        cdef Py_ssize_t room
        cdef void* data
        if self._used + size > self._room:
            room = 2 * self._room + size + 4096
            data = PyMem_Realloc(self._data, room)
            if data is NULL:
                raise MemoryError
            self._data = <char*>data
            self._room = room
        return self._data + self._used

    cdef int _see(self, const char* text, Py_ssize_t size) except -1:
        cdef Py_ssize_t room
        cdef void* data
        if self._looked + size + 1 > self._seen_room:
            room = 2 * self._seen_room + size + 2048
            data = PyMem_Realloc(self._seen, room)
            if data is NULL:
                raise MemoryError
            self._seen = <char*>data
            self._seen_room = room
        memcpy(self._seen + self._looked, text, size)
        self._looked += size
        self._seen[self._looked] = 0
        self._looked += 1
        return 0

    cdef int _fixed64(self, int number, uint64_t value) except -1:
        cdef char* at = self._more(9)
        at[0] = <char>(number << 3 | FIXED64)
        memcpy(at + 1, &value, 8)  # little endian, as all machines that we run on
        self._used += 9
        return 0

    cdef int _string(self, int number, const char* text, Py_ssize_t size) except -1:
        cdef char* start = self._more(size + 12)
        cdef char* at = start
        at[0] = <char>(number << 3 | BYTES)
        at = put_varint(at + 1, size)
        memcpy(at, text, size)
        self._used += at + size - start
        return 0

    cdef int _name(self, int number, str name) except -1:
        cdef Py_ssize_t size
        cdef const char* text = PyUnicode_AsUTF8AndSize(name, &size)
        return self._string(number, text, size)

    cdef Py_ssize_t _open(self, int number) except -1:
        """A member whose size is not known yet; gives where its content begins."""
        cdef char* at = self._more(2)
        at[0] = <char>(number << 3 | BYTES)
        self._used += 2
        return self._used

    cdef int _close(self, Py_ssize_t begin) except -1:
        """Its content is complete."""
        cdef Py_ssize_t size = self._used - begin
        cdef Py_ssize_t wider = varint_size(size) - 1
        cdef char* content
        if wider:
            self._more(wider)
            content = self._data + begin
            memmove(content + wider, content, size)
            self._used += wider
        put_varint(self._data + begin - 1, size)
        return 0

    cdef int _text(self, const char* key, Py_ssize_t key_size, object value, int number) except -1:
        """An attribute that is a text."""
        cdef const char* text
        cdef Py_ssize_t size, inner
        cdef char* start
        cdef char* at
        cdef bytes made
        if self._redact is not None:
            made = plain(self._redact(plain(value).decode()))
            text, size = PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made)
        elif type(value) is bytes:
            text, size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
            if not is_ascii(text, size):
                made = plain(value)
                text, size = PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made)
        else:
            try:
                text = PyUnicode_AsUTF8AndSize(value, &size)
            except UnicodeEncodeError:
                made = plain(value)
                text, size = PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made)
        self._see(text, size)
        inner = 1 + varint_size(size) + size
        start = self._more(key_size + size + 40)
        at = self._pair(start, number, key, key_size, inner)
        at[0] = 1 << 3 | BYTES
        at = put_varint(at + 1, size)
        memcpy(at, text, size)
        self._used += at + size - start
        return 0

    cdef char* _pair(self, char* at, int number, const char* key, Py_ssize_t key_size, Py_ssize_t inner) noexcept:
        """Head of an attribute whose value takes `inner` bytes."""
        cdef Py_ssize_t outer = 1 + varint_size(key_size) + key_size + 1 + varint_size(inner) + inner
        at[0] = <char>(number << 3 | BYTES)
        at = put_varint(at + 1, outer)
        at[0] = 1 << 3 | BYTES
        at = put_varint(at + 1, key_size)
        memcpy(at, key, key_size)
        at += key_size
        at[0] = 2 << 3 | BYTES
        return put_varint(at + 1, inner)

    cdef int _attributes(self, int number, dict attributes) except -1:
        cdef const char* key
        cdef Py_ssize_t key_size
        cdef char* start
        cdef char* at
        cdef int64_t whole
        cdef double share
        for name, value in attributes.items():
            if value is None:
                continue
            key = PyUnicode_AsUTF8AndSize(name, &key_size)
            kind = type(value)
            if kind is bytes or kind is str:
                self._text(key, key_size, value, number)
                continue
            start = self._more(key_size + 40)
            if kind is int:
                whole = value
                at = self._pair(start, number, key, key_size, 1 + varint_size(<uint64_t>whole))
                at[0] = 3 << 3 | VARINT
                at = put_varint(at + 1, <uint64_t>whole)
            elif kind is bool:
                at = self._pair(start, number, key, key_size, 2)
                at[0] = 2 << 3 | VARINT
                at[1] = 1 if value else 0
                at += 2
            else:
                share = value
                at = self._pair(start, number, key, key_size, 9)
                at[0] = 4 << 3 | FIXED64
                memcpy(at + 1, &share, 8)
                at += 9
            self._used += at - start
        return 0

    cpdef object add(self, str name, object trace_id, uint64_t span_id, uint64_t parent_id, str state, double started,
                     double ended, int64_t wall_ns, dict attributes, list events, bint failed):
        """One span. `started`, `ended` and the times of events are seconds, `wall_ns` is the wall clock at `started`.
        """
        cdef Py_ssize_t span = self._open(2), event
        cdef uint64_t low = trace_id & 0xFFFFFFFFFFFFFFFF, high = trace_id >> 64
        cdef uint32_t flags = REMOTE if parent_id else KNOWN
        cdef tuple happened
        cdef double moment
        cdef char* at = self._more(18 + 10 + 10 + 2 + 7)
        at[0] = 1 << 3 | BYTES
        at[1] = 16
        at = put_big(put_big(at + 2, high), low)
        at[0] = 2 << 3 | BYTES
        at[1] = 8
        at = put_big(at + 2, span_id)
        if parent_id:
            at[0] = 4 << 3 | BYTES
            at[1] = 8
            at = put_big(at + 2, parent_id)
        at[0] = 6 << 3 | VARINT
        at[1] = SERVER
        at = put_varint(at + 2, 16 << 3 | FIXED32)
        memcpy(at, &flags, 4)
        self._used = at + 4 - self._data
        if state:
            self._name(3, state)
        self._name(5, name)
        self._fixed64(7, wall_ns)
        self._fixed64(8, wall_ns + <int64_t>((ended - started) * 1e9))
        self._attributes(9, attributes)
        for happened in events:
            moment = happened[0]
            event = self._open(11)
            self._fixed64(1, wall_ns + <int64_t>((moment - started) * 1e9))
            self._name(2, happened[1])
            self._attributes(3, happened[2])
            self._close(event)
        at = self._more(4)
        at[0] = 15 << 3 | BYTES
        at[1] = 2 if failed else 0
        at[2] = 3 << 3 | VARINT
        at[3] = ERROR
        self._used += 4 if failed else 2
        self._close(span)

    cpdef bytes messages(self):
        return PyBytes_FromStringAndSize(self._data, self._used)

    cpdef bytes texts(self):
        return PyBytes_FromStringAndSize(self._seen, self._looked)


def member(int number, bytes content):
    """A message that is a member of another one; `number` below 16."""
    cdef char[12] head
    head[0] = <char>(number << 3 | BYTES)
    cdef char* end = put_varint(head + 1, PyBytes_GET_SIZE(content))
    return PyBytes_FromStringAndSize(head, end - head) + content
