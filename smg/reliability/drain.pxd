# C types of drain.py: every finished request is counted.

cdef class DrainRate:
    cdef public double _at, _time, _rate
    cdef public long long _fresh, _seen

    cpdef object one(self)
