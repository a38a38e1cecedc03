# What a policy calls between `walk` and `commit`. Stable; everything below the line is the tree's own.
#
#     tree.walk(input)          one descent; fills the fields and `path`. Raises for a wrong type, never for content.
#     ... choose a tenant from path, tenant_list, tenant_count, holds, child_count ...
#     tree.commit(tenant)       stores the rest of that same input; no other call on the tree may come between.
#     tree.forget()             instead of commit: nothing is stored, the input is let go.
#
# Units are characters (TextTree) or tokens (TokenTree). Node 0 is the root: never on a path, never held.
from libc.stdint cimport int64_t, uint32_t

from smg._speedups.extents cimport Array
from smg._speedups.radix_nodes cimport Nodes

cdef enum:
    MOST_UNITS = (1 << 30) - 1   # of one input: its bytes fit 32 bits


cdef struct Step:
    uint32_t node
    uint32_t units               # matched from the start of the input up to and including this node
    uint32_t attachment          # the tree's own


cdef class Tree(Nodes):
    # After walk; meaningless after commit or forget.
    cdef readonly int path_len
    cdef Step* path              # root side first; a partly matched last edge is a step on the child below it
    cdef readonly int64_t input_units      # of the input as given: neither cut to pages nor to the cap
    cdef readonly int64_t matched_units    # path[path_len - 1].units, or 0
    cdef readonly bint mid_edge            # the walk ended inside the label of the last node of the path
    cdef readonly bint input_exhausted     # nothing left to store: all (for tokens: all whole pages) is matched

    cdef int walk(self, object input) except -1               # the length of the path
    cdef int commit(self, uint32_t tenant) except -1          # RuntimeError without a walk, MemoryError
    cdef void forget(self) noexcept

    cdef uint32_t tenant_count(self, uint32_t node) noexcept nogil
    cdef uint32_t tenant_at(self, uint32_t node, uint32_t i) noexcept nogil      # ascending
    cdef const uint32_t* tenant_list(self, uint32_t node) noexcept nogil         # tenant_count of them, ascending
    cdef bint holds(self, uint32_t node, uint32_t tenant) noexcept nogil
    cdef uint32_t child_count(self, uint32_t node) noexcept nogil

    # ---- the tree's own -----------------------------------------------------------------------------------------
    cdef int64_t cap                       # of total
    cdef uint32_t attachment_cap
    cdef uint32_t piece                    # bytes of a label at most
    cdef Array path_array

    # the input of the walk
    cdef const char* data                  # as far as it may be stored: cut to whole pages and to the cap
    cdef int64_t data_size                 # bytes
    cdef int64_t data_units
    cdef bint data_ascii                   # as many units as bytes
    cdef bint walked
    cdef int64_t matched_size              # bytes
    cdef uint32_t edge_size                # mid_edge: bytes and units matched of the last label
    cdef uint32_t edge_units

    cdef int descend(self) except -1
