# C types of budget.py: every request counts.

cdef class Budget:
    cdef public double share, constant, _slice, _turn
    cdef public long long suppressed, _number, _fresh, _requests, _retries
    cdef public list _requests_by_slice, _retries_by_slice

    cpdef object request(self, double now)
    cpdef object _advance(self, double now)
