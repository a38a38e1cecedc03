# C types of breaker.py: every request passes its worker's breaker.

cdef class Breaker:
    cdef object __weakref__
    cdef public int state, failures, successes, trials
    cdef public long long good, bad
    cdef public bint admits
    cdef public double due
    cdef public object on_change, owner
    cdef public long long _first, _term
    cdef public object _failed_at
    cdef public int _failure_threshold, _success_threshold
    cdef public double _timeout, _window
    cdef public bytes _judgements

    cpdef int judge(self, int status) except -1
    cpdef long long dispatched(self, double now) except -1
    cpdef object succeeded(self, long long term, double now)
    cpdef object failed(self, long long term, double now)
    cpdef object abandoned(self, long long term)
