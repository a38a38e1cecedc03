# C types of target.py.
from smg.upstream.pool cimport UpstreamPool


cdef class Target:
    cdef public UpstreamPool pool
    cdef public object _origin
    cdef public bytes authorization, routed
    cdef public dict _prefixes

    cpdef bytes prefix(self, str path)
