# The storage of a routing tree. What a policy needs is in radix_core.pxd.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from smg._speedups.extents cimport Array, Extents, content, granules

cdef enum:
    ROOT = 0                     # as a node; in a slot: nothing
    SHORT = 8                    # bytes of a label that needs no extent
    SHARED = 0x80000000          # this bit of an attachment's index: not in a node but in `shared_array`


cdef packed struct Attachment:   # (node, tenant)
    uint32_t tenant
    uint64_t stamp               # the commit that used it last; 0: not in use
    uint32_t node
    uint32_t up                  # the same tenant's on the parent; NONE below the root
    uint32_t before              # the list of all of this tenant, in no order
    uint32_t after


cdef struct Node:                # one cache line
    uint32_t parent              # when not in use: the next such
    uint32_t key                 # first character, or digest of the first page
    uint32_t label               # extent of the edge's text; a short text stands here itself
    uint32_t skip                # bytes of that extent before the text
    uint32_t size                # bytes of the text
    uint32_t units
    uint32_t children
    uint32_t tenants
    uint32_t table               # extent of the tenants, when there are several
    # One of the node's attachments. Not in use when the only one is elsewhere: `tenant` and `node` say whose and
    # where then; or when there are several elsewhere: `tenant` is NONE.
    Attachment own


cdef struct Tenant:
    uint64_t size                # units
    uint32_t first               # attachment
    uint32_t count


cdef struct Slot:                # node 0: empty
    uint32_t hash
    uint32_t node


cdef packed struct Use:          # of the path down to this attachment; outdated when the stamps differ
    uint64_t stamp
    uint32_t attachment


cdef class Nodes:
    cdef readonly int64_t total            # units, summed over tenants
    cdef readonly uint32_t attachments
    cdef readonly uint32_t nodes           # without the root
    cdef uint32_t page                     # bytes of a page; 0 for text
    cdef Extents labels
    cdef Extents tables                    # apart from the labels: small, so they stay in the cache
    cdef Array node_array
    cdef Array shared_array                # attachments that found no place in their node
    cdef Array slot_array
    cdef Array brief_array                 # a byte per node: the size of its label, see `scout`
    cdef Array tenant_array
    cdef Array use_array
    cdef uint32_t node_top                 # first index never used
    cdef uint32_t node_free                # chain of indices given back
    cdef uint32_t shared_top
    cdef uint32_t shared_free
    cdef uint32_t shared_count
    cdef uint32_t slot_bits
    cdef uint32_t tenant_top
    cdef uint32_t hash_mask                # all ones; tests make digests and hashes collide

    # the queue of uses: positions only grow, `use_mask` + 1 of them have a place
    cdef uint64_t clock                    # the last stamp
    cdef uint64_t use_mask
    cdef uint64_t use_head                 # oldest
    cdef uint64_t use_kept                 # from here to `use_swept` there is nothing
    cdef uint64_t use_swept
    cdef uint64_t use_tail


cdef inline Node* node_at(Nodes tree, uint32_t node) noexcept nogil:
    return <Node*>tree.node_array.base + node


cdef inline Attachment* attachment_at(Nodes tree, uint32_t attachment) noexcept nogil:
    if attachment & SHARED:
        return <Attachment*>tree.shared_array.base + (attachment & ~<uint32_t>SHARED)
    return &node_at(tree, attachment).own


cdef inline Tenant* tenant_of(Nodes tree, uint32_t tenant) noexcept nogil:
    return <Tenant*>tree.tenant_array.base + tenant


cdef inline char* label_of(Nodes tree, Node* n) noexcept nogil:
    if n.size <= SHORT:
        return <char*>&n.label
    return content(tree.labels, n.label) + n.skip


# A table of tenants: first their numbers, ascending, then their attachments in the same order.

cdef inline uint32_t* table_of(Nodes tree, Node* n) noexcept nogil:
    return <uint32_t*>content(tree.tables, n.table)


cdef inline uint32_t room_of(Nodes tree, Node* n) noexcept nogil:
    return granules(tree.tables, n.table) * 2 - 1


cdef inline Use* use_at(Nodes tree, uint64_t position) noexcept nogil:
    return <Use*>tree.use_array.base + (position & tree.use_mask)


cdef uint32_t key_at(Nodes tree, const char* text) noexcept nogil
cdef uint32_t hash_of(Nodes tree, uint32_t parent, uint32_t key) noexcept nogil
cdef uint32_t find_child(Nodes tree, uint32_t parent, const char* text) noexcept nogil
cdef void scout(Nodes tree, const char* text, int64_t size) noexcept nogil
cdef uint32_t slot_of(Nodes tree, uint32_t node) noexcept nogil
cdef void put_slot(Nodes tree, uint32_t node, uint32_t hash) noexcept nogil
cdef int reserve_node(Nodes tree) noexcept nogil
cdef uint32_t new_node(Nodes tree) noexcept nogil
cdef void set_size(Nodes tree, uint32_t node, uint32_t size) noexcept nogil

cdef uint32_t find_tenant(Nodes tree, uint32_t node, uint32_t tenant) noexcept nogil
cdef uint32_t new_shared(Nodes tree) noexcept nogil
cdef void list_first(Nodes tree, uint32_t attachment) noexcept nogil
cdef uint32_t attach(Nodes tree, uint32_t node, uint32_t tenant, uint32_t up) noexcept nogil
cdef void purge(Nodes tree, uint32_t tenant) noexcept nogil

cdef bint evict(Nodes tree) noexcept nogil
cdef void sweep(Nodes tree) noexcept nogil
cdef int grow_uses(Nodes tree) noexcept nogil
