cimport cython

from smg._speedups.access_text cimport json_line


# C types of access_lines.py: the log thread writes two such lines for every request.
cdef class _Middle:
    cdef public bytes method, uri, version, text
    cdef public long level


cdef class JsonLines:
    cdef public object _form
    cdef public _Middle _started, _finished
    cdef public dict _middles
    cdef public long long _second
    cdef public bytes _stamp

    @cython.locals(created=double, level=long, status=long, latency="long long", method=bytes,
                   uri=bytes, version=bytes, request_id=bytes, milliseconds="long long",
                   second="long long", middle=bytes, line=str, last=_Middle)
    cpdef str text(self, tuple entry)
