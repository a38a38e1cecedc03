# C types of context.py: what every relay reads.
from smg.backends.http.gather cimport Gather
from smg.backends.http.headers cimport ForwardRules
from smg.backends.http.lane cimport Lane
from smg.backends.http.series cimport BackendSeries
from smg.core.deadlines cimport DeadlineQueue
from smg.reliability.budget cimport Budget


cdef class RelayContext:
    cdef public object registry, policies, client, worker_failed, watch, close, retry
    cdef public ForwardRules forward
    cdef public BackendSeries series
    cdef public Gather gather
    cdef public DeadlineQueue deadlines, first_byte
    cdef public dict _lanes
    cdef public Budget budget
    cdef public tuple key_headers
    cdef public bint explain, notes_decisions
    cdef public int shed_retry_after

    cpdef Lane lane(self, model)
