# C types of ids.py: every call has one.
cimport cython

cdef int _DIGITS, _BATCH
cdef list _pool


@cython.locals(stamp=cython.longlong)
cpdef str call_id(object index, object name)
