# C types of deadlines.py.
cdef class Ticker:
    cdef public object _loop, _handle
    cdef public double interval, now
    cdef public list _subscribers


cdef class DeadlineQueue:
    cdef public Ticker _ticker
    cdef public double seconds
    cdef public object _expired
    cdef public dict _items

    cpdef object add(self, item)
    cpdef object discard(self, item)
