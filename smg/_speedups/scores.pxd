from libc.stdint cimport int32_t, int64_t, uint32_t

from smg._speedups.loads cimport LoadTable


# What is known of one worker. Without a report only its requests in flight count.
cdef struct Figure:
    bint reported
    int64_t waiting     # requests: waiting at the last report, and given since
    double tokens       # prompt tokens that a new request waits for: the same
    double per_token    # seconds
    double pressure     # seconds added because the KV cache is in use
    double throughput   # tokens per second as reported; 0: not measured


cdef class Figures:
    cdef Figure *_figures
    cdef uint32_t _size, _top
    cdef list _free
    # Grows with every change that candidates must look at again.
    cdef uint32_t version
    cdef readonly double mean_tokens, default_throughput

    cpdef uint32_t attach(self) except? 0xFFFFFFFF
    cpdef object detach(self, uint32_t place)
    cpdef object report(self, uint32_t place, double queued, int64_t waiting, double throughput, double pressure)
    cpdef object drop(self, uint32_t place)
    cdef Figure *at(self, uint32_t place) except NULL


cdef class Lineup:
    cdef Figures _figures
    cdef LoadTable _table
    cdef object _random
    # In the order of the candidates: where each figure lies, and the slot of its load.
    cdef uint32_t *_places
    cdef uint32_t *_slots
    cdef uint32_t *_ties
    cdef readonly uint32_t count
    # Derived from the figures of all candidates, for one version of them.
    cdef uint32_t _version
    cdef uint32_t _reporting
    cdef double _per_request

    cpdef int32_t lowest(self, int64_t cap) except -2
    cpdef uint32_t lower(self, uint32_t first, uint32_t second) except? 0xFFFFFFFF
    cpdef double score(self, uint32_t position) except? -1.0
    cpdef bint reported(self, uint32_t position) except -1
    cpdef object credit(self, uint32_t position, double tokens)

    cdef Figure *_at(self, uint32_t position) except NULL
    cdef void _settle(self) noexcept
    cdef double _score(self, uint32_t position) noexcept
    cdef int32_t _least_loaded(self) except -2
    cdef int32_t _choose(self, uint32_t ties) except -2
