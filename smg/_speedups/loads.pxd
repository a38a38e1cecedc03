from libc.stdint cimport int32_t, uint32_t


cdef class LoadTable:
    cdef int32_t *loads
    cdef double *costs
    cdef readonly uint32_t size, top
    # How many slots have a cost other than 1: zero means that loads compare as they are.
    cdef readonly int weighted
    cdef list _free

    cpdef uint32_t attach(self) except? 0xFFFFFFFF
    cpdef object detach(self, uint32_t slot)
    cdef int _grow(self) except -1
    cpdef object set_cost(self, uint32_t slot, double cost)
    cpdef double cost(self, uint32_t slot) noexcept
    cpdef int32_t acquire(self, uint32_t slot) noexcept
    cpdef int32_t release(self, uint32_t slot) noexcept
    cpdef int32_t load(self, uint32_t slot) noexcept
    cpdef object set_load(self, uint32_t slot, int32_t load)


cdef class Candidates:
    cdef LoadTable table
    # Slot of each place, and place of each slot below `reach` (-1 = no candidate).
    cdef uint32_t *slots
    cdef int32_t *places
    cdef uint32_t reach
    cdef readonly Py_ssize_t count

    cdef double weigh(self, Py_ssize_t place) noexcept nogil
    cpdef Py_ssize_t place(self, uint32_t slot) noexcept
    cpdef double weight(self, Py_ssize_t place) except? -1.0
    cpdef double total(self) noexcept
    cpdef Py_ssize_t least(self, uint32_t tie) noexcept
