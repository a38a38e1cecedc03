cimport cython

# C types of access_lines.py: the log thread writes two such lines for every request.
from smg._speedups.access_text cimport json_line


cdef class JsonLines:
    cdef public object _form
    cdef public dict _middles
    cdef public long long _second
    cdef public bytes _stamp

    @cython.locals(created=double, level=long, status=long, latency="long long", method=bytes,
                   uri=bytes, version=bytes, request_id=bytes, milliseconds="long long",
                   second="long long", middle=bytes, line=str)
    cpdef str text(self, tuple entry)
