# C types of line.py: with priority classes every request stands in a row.

cdef class Line:
    cdef public Py_ssize_t count
    cdef public Place oldest, newest

    cpdef object join(self, Place place)
    cpdef bint leave(self, Place place) except -1


cdef class Place:
    cdef public object target
    cdef public double since
    cdef public int rank
    cdef public bint seated
    cdef public Line line
    cdef public Place newer, older
