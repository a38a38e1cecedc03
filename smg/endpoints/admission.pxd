# C types of admission.py: with a limit every request passes here twice.
from smg.observability.metrics cimport Counter
from smg.reliability.admission cimport Admission
from smg.server.exchange cimport Exchange


cdef class Gate:
    cdef object __weakref__
    cdef public Admission _admission
    cdef public object _ticker, _clock, _metrics
    cdef public bint _admitting
    cdef public Counter _allowed, _rejected, _full, _timeout

    cpdef object enter(self, Exchange exchange, object start)
    cpdef object leave(self)


cdef class Waiting:
    cdef object __weakref__
    cdef public object _queue, _start, place
    cdef public Exchange _exchange


cdef class Parked(Waiting):
    cdef public Gate _gate
