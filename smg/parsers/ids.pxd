# C types of ids.py: every call has one.
cdef int _DIGITS, _BATCH
cdef list _pool
