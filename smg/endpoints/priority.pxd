# C types of priority.py: with priority classes every request has a seat.
from smg.endpoints.admission cimport Waiting
from smg.reliability.priority cimport PriorityAdmission
from smg.server.exchange cimport Exchange


cdef class PriorityGate:
    cdef object __weakref__
    cdef public object _settings, _registry, _ticker, _metrics, _tenant, _labels, _clock, _unsubscribe
    cdef public object _limit
    cdef public bint _admitting, _fleet_changed
    cdef public PriorityAdmission _admission
    cdef public list _admitted, _waits

    cpdef object enter(self, Exchange exchange, object start)
    cpdef int _rank(self, Exchange exchange) except -1
    cpdef object leave(self, place)


cdef class Seat(Waiting):
    cdef public PriorityGate _gate

    cpdef object leave(self)
