cimport cython


# C types of access_lines.py: the log thread writes two such lines for every request.
cdef class JsonLines:
    cdef public object _form
    cdef public dict _middles
    cdef public long long _second
    cdef public str _stamp

    @cython.locals(created=double, level=long, status=long, latency="long long", method=bytes,
                   uri=bytes, version=bytes, request_id=bytes, milliseconds="long long",
                   second="long long", when=str,
                   name=str, middle=str)
    cpdef str text(self, tuple entry)


@cython.locals(code="unsigned char")
cdef bint _plain(bytes value)
