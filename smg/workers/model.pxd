# C types of model.py: every request reads its worker.
from libc.stdint cimport uint32_t

from smg._speedups.loads cimport LoadTable
from smg.reliability.breaker cimport Breaker


cdef class Worker:
    cdef object __weakref__
    cdef LoadTable _table
    cdef readonly uint32_t slot
    cdef public bytes address
    cdef public bint overloaded, tls
    cdef public int dp_rank, revision
    cdef public object base_url, spec
    cdef public Breaker breaker
    cdef public object api_key, base_path, connection_mode, host, id, labels, models, port, priority, runtime
    cdef public object status, transport, url, worker_type

    cpdef object acquire(self)
    cpdef object release(self)
