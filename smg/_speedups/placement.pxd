from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from smg._speedups.loads cimport LoadTable
from smg._speedups.radix cimport Tree


cdef class Placement:
    cdef readonly Tree tree
    cdef readonly LoadTable loads
    cdef public double threshold, balance_abs, balance_rel
    # of the last choice
    cdef readonly int branch
    cdef readonly double ratio
    cdef readonly int64_t uncached         # units of the prompt that its worker does not hold

    cdef readonly double mean_uncached     # per request with a prompt, of which there were `noted`
    cdef uint64_t noted
    cdef readonly double mean_rest         # beyond the shared part, per prompt that leaves one; of `branched`
    cdef uint64_t branched
    cdef readonly uint32_t count           # workers to choose from
    cdef uint32_t* slots                   # theirs
    cdef bint in_a_row                     # they are consecutive numbers
    # by slot
    cdef int32_t* index_of                 # place among those to choose from, or -1
    cdef uint64_t* placed                  # when it was last given a new prompt, by `clock`
    cdef double* pending                   # uncached units of prompts without a first byte of the answer yet
    cdef double* recent                    # recent picks, in a currency that inflates: `pick` is one of today's
    cdef uint32_t known, room
    cdef uint32_t cursor                   # place after the last free worker found, in large fleets
    cdef uint64_t clock
    cdef double pick
    cdef double total, least               # of the last survey
    cdef double holder_load                # of the last best_holder

    cpdef object prepare(self, object slots)
    cpdef object forget(self, uint32_t slot)
    cpdef int choose(self, object prompt) except -2
    cpdef int choose_least(self, object prompt) except -2
    cpdef object answered(self, uint32_t slot, int64_t uncached)
    cdef int64_t decide(self, object prompt) except -2
    cdef double queue_of(self, uint32_t slot) noexcept
    cdef double per_request(self) noexcept
    cdef double load_of(self, uint32_t slot) noexcept
    cdef bint eligible(self, uint32_t slot) noexcept
    cdef void survey(self) noexcept
    cdef uint32_t idlest(self) noexcept
    cdef int64_t best_holder(self, uint32_t node, double limit) noexcept
    cdef int64_t too_far_behind(self, int steps, int64_t holder, int64_t* kept) noexcept
    cdef bint overloaded(self, double load) noexcept
    cdef int64_t near_the_least(self, int steps, int64_t* kept) noexcept
    cdef int64_t cheapest(self, int steps, int deepest, int64_t holder, int64_t* kept) noexcept
    cdef double displacement(self, uint32_t slot, int64_t holder) noexcept
    cdef int64_t held_by(self, int steps, uint32_t slot) noexcept
    cdef void count_pick(self, uint32_t slot) noexcept
    cdef void note(self, int64_t uncached) noexcept
    cdef int64_t place(self, int64_t uncached, int64_t slot) noexcept
