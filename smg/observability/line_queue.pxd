# C types of line_queue.py: two lines of the access log go in for every request.
cdef class LineQueue:
    cdef public object items, _put, _size
    cdef public Py_ssize_t dropped, _limit

    cpdef object submit(self, item)
