# C types of routes.py.
from smg.server.metrics cimport RouteSeries


cdef class Endpoint:
    cdef public object route, start, auth
    cdef public bytes id_prefix
    cdef public bint probe
    cdef public RouteSeries series


cdef class RouteTable:
    cdef public list endpoints
    cdef public dict _static, _exact
    cdef public object _root
    cdef public Endpoint other

    cpdef tuple match(self, bytes method, bytes path)
