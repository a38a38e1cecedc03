# Memory for the routing trees: growable arrays, and blocks of any size inside one of them. Offsets, never pointers.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef enum:
    NONE = 0xFFFFFFFF    # no index
    FULL = 0xFFFFFFFE    # `Extents.take` only: the limit is reached, something must be given back first


cdef struct Array:
    char* base           # starts at a cache line
    size_t capacity      # bytes
    size_t offset        # of `base` in what malloc gave


cdef int array_grow(Array* array, size_t size) noexcept nogil
cdef void array_free(Array* array) noexcept nogil


cdef class Extents:
    cdef char* base      # moves with every `take`
    cdef uint64_t used   # granules handed out
    cdef uint32_t top    # granules behind it were never used, or all given back
    cdef uint32_t limit  # granules at most
    cdef Array array
    cdef uint32_t levels
    cdef uint16_t bins[27]
    cdef uint32_t heads[432]

    cdef uint32_t take(self, size_t size) noexcept nogil
    cdef void give(self, uint32_t extent) noexcept nogil
    cdef void shrink(self, uint32_t extent, size_t size) noexcept nogil
    cdef uint32_t trim(self, uint32_t extent, size_t cut, uint32_t* skip) noexcept nogil
    cdef void link_free(self, uint32_t extent, uint32_t count) noexcept nogil
    cdef void unlink_free(self, uint32_t extent, uint32_t count) noexcept nogil
    cdef uint32_t find_free(self, uint32_t count) noexcept nogil


cdef inline char* content(Extents extents, uint32_t extent) noexcept nogil:
    """The bytes of a block, behind its header."""
    return extents.base + <size_t>extent * 16 + 4


cdef inline uint32_t granules(Extents extents, uint32_t extent) noexcept nogil:
    return (<uint32_t*>(extents.base + <size_t>extent * 16))[0] >> 2


cdef inline int array_reserve(Array* array, size_t size) noexcept nogil:
    """Room for `size` bytes; the content is kept, its place is not. -1: no memory, nothing changed."""
    return 0 if size <= array.capacity else array_grow(array, size)
