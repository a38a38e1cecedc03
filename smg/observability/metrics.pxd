# C types of the children in metrics.py: an update is an addition to a double in memory.
cdef class Child:
    cdef public object _block
    cdef public double[::1] _values
    cdef public Py_ssize_t _slot, _slots


cdef class Counter(Child):
    cpdef object inc(self, double amount=*)


cdef class Gauge(Child):
    cpdef object set(self, double value)
    cpdef object inc(self, double amount=*)
    cpdef object dec(self, double amount=*)


cdef class Histogram(Child):
    cdef public object _bounds
    cdef public Py_ssize_t _sum

    cpdef object observe(self, double value)
