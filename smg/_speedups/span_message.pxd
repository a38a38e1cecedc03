from libc.stdint cimport int64_t, uint64_t


cdef class SpanMessages:
    cdef object _redact
    cdef char* _data
    cdef Py_ssize_t _used, _room
    cdef char* _seen
    cdef Py_ssize_t _looked, _seen_room

    cdef char* _more(self, Py_ssize_t size) except NULL
    cdef int _see(self, const char* text, Py_ssize_t size) except -1
    cdef int _fixed64(self, int number, uint64_t value) except -1
    cdef int _string(self, int number, const char* text, Py_ssize_t size) except -1
    cdef int _name(self, int number, str name) except -1
    cdef Py_ssize_t _open(self, int number) except -1
    cdef int _close(self, Py_ssize_t begin) except -1
    cdef int _text(self, const char* key, Py_ssize_t key_size, object value, int number) except -1
    cdef char* _pair(self, char* at, int number, const char* key, Py_ssize_t key_size, Py_ssize_t inner) noexcept
    cdef int _attributes(self, int number, dict attributes) except -1
    cpdef object add(self, str name, object trace_id, uint64_t span_id, uint64_t parent_id, str state, double started,
                     double ended, int64_t wall_ns, dict attributes, list events, bint failed)
    cpdef bytes messages(self)
    cpdef bytes texts(self)
