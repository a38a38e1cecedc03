# C types of ids.py: every call has one.
cimport cython

from smg._speedups.clock cimport wall_clock

cdef int _DIGITS, _BATCH
cdef list _pool


@cython.locals(stamp=cython.longlong, drawn=str, at=Py_ssize_t)
cpdef str call_id(object index, object name)
