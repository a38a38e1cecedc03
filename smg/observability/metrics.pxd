cimport cython


# C types of the children in metrics.py: an update is an addition to a double in memory.
cdef class Child:
    cdef public object _block
    cdef public double[::1] _values
    cdef public Py_ssize_t _slot, _slots


@cython.final
cdef class Counter(Child):
    cpdef object inc(self, double amount=*)


@cython.final
cdef class Gauge(Child):
    cpdef object set(self, double value)
    cpdef object inc(self, double amount=*)
    cpdef object dec(self, double amount=*)


@cython.final
cdef class Histogram(Child):
    cdef public object _bounds
    cdef public double[::1] _limits
    cdef public Py_ssize_t _sum, _count

    @cython.locals(index=Py_ssize_t)
    cpdef object observe(self, double value)

    @cython.locals(values=double[::1], slot=Py_ssize_t)
    cpdef list snapshot(self)
