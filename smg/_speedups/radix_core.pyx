# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""A radix tree over bytes that remembers which tenants were sent which prompt; text and tokens are in radix.pyx.

Everything is an index into arrays that grow (extents.pyx): nodes, attachments, hash slots, and arenas for edge labels
and for tables of tenants. No Python object, no pointer, and for most nodes one cache line. A child is found in one
hash table for all nodes, under (parent, first character or digest of the first page). A long text is a chain of nodes
of at most one *piece* each: memory freed by short prompts is then good for long ones, and a long one goes bit by bit.

An *attachment* says that a tenant holds a node. What the tree keeps true:

 1. A tenant that holds a node holds its parent. (`store` attaches a tenant from the root side on; only what has no
    child of the same tenant is detached, or all that a tenant has.)
 2. A node is held by someone, or it does not exist. With 1: its parent exists too.
 3. Each commit has a stamp, larger than all before. An attachment carries the stamp of the commit that used it last,
    and for every tenant the parent's stamp is not smaller than the child's. (A commit stamps the whole path from the
    root on; a split gives the new upper node the stamps of the lower one; nothing else writes stamps.)

What is evicted: the smallest stamp, and among attachments with that stamp (they are one path of one tenant, or a part
of it) the deepest. By 3 it has no child of its tenant, so taking it away keeps 1; when it was the last tenant of its
node, then by 1 nobody holds a child of the node, and by 2 there is none.

How it is found: a queue with one entry per commit, (stamp, deepest attachment of the path). Let X carry stamp p, and D
be the attachment in entry p. X was on that path, or a split put it into it, so D is below X or X itself. D's stamp was
p at the time, is not larger than X's by 3, and stamps never fall: it still is p. D is not evicted before entry p is the
oldest, and all that a tenant has goes at once. So entries whose attachment has another stamp are outdated, and from
the others, going up as long as the stamps are equal, every attachment is found, in the right order.

So using a path writes nothing but the stamps in its attachments, and the next victims are known well ahead: their
memory is asked for long before it is needed (`look_ahead`). radix_check.pyx proves all of this on a given tree; tests
call it after every step, and compare with tests/unit/speedups/radix_plain.py.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from smg._speedups.extents cimport FULL, NONE, array_free, array_reserve, content
from smg._speedups.radix_nodes cimport (
    ROOT, SHORT, Attachment, Node, Slot, Tenant, Use, attach, attachment_at, evict, find_child, find_tenant,
    grow_uses, hash_of, key_at, label_of, list_first, new_node, new_shared, node_at, purge, put_slot, reserve_node,
    room_of, scout, set_size, slot_of, sweep, table_of, tenant_of, use_at,
)

cdef extern from * nogil:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define FIRST_DIFFERENT_BYTE(x) (__builtin_clzll(x) >> 3)
    #else
    #define FIRST_DIFFERENT_BYTE(x) (__builtin_ctzll(x) >> 3)
    #endif
    """
    size_t FIRST_DIFFERENT_BYTE(uint64_t x)
    void prefetch "__builtin_prefetch"(const void* where)

cdef enum:
    MOST_TENANT = 1 << 20
    MOST_INDEX = 1 << 30     # attachments, and so nodes
    PIECE = 16380            # with its header 1,024 granules


# -- walk

cdef inline size_t common_prefix(const char* a, const char* b, size_t size) noexcept nogil:
    cdef size_t i = 0
    cdef uint64_t x
    cdef uint64_t y
    while size - i >= 256 and memcmp(a + i, b + i, 256) == 0:
        i += 256
    while size - i >= 8:
        memcpy(&x, a + i, 8)
        memcpy(&y, b + i, 8)
        if x != y:
            return i + FIRST_DIFFERENT_BYTE(x ^ y)
        i += 8
    while i < size and a[i] == b[i]:
        i += 1
    return i


cdef inline bint inside_character(char byte) noexcept nogil:
    return (byte & 0xC0) == 0x80


cdef uint32_t count_units(Tree tree, const char* text, int64_t size) noexcept nogil:
    cdef uint32_t units = 0
    cdef int64_t i
    if tree.page:
        return <uint32_t>(size >> 2)
    for i in range(size):
        units += not inside_character(text[i])
    return units


cdef int step(Tree tree, uint32_t node, int64_t units) noexcept nogil:
    if array_reserve(&tree.path_array, (<size_t>tree.path_len + 1) * sizeof(Step)) < 0:
        return -1
    tree.path = <Step*>tree.path_array.base
    tree.path[tree.path_len].node = node
    tree.path[tree.path_len].units = <uint32_t>units
    tree.path_len += 1
    return 0


# -- commit

cdef int store(Tree tree, uint32_t tenant) noexcept nogil:
    """-1: no memory; the tree is in order, part of the input may be stored."""
    cdef uint32_t up = NONE
    cdef uint32_t parent = ROOT
    cdef uint32_t attachment
    cdef uint32_t result = ROOT
    cdef int held = 0
    cdef int i
    if tree.data_size == 0:
        return 0
    if reserve(tree, tenant) < 0:
        return -1
    if tree.mid_edge:
        result = split_last(tree)
        if result >= FULL:
            tree.path_len -= 1
    tree.clock += 1
    # Who does not hold a node holds none below it. Looked up first, so that the misses come side by side.
    while held < tree.path_len:
        attachment = find_tenant(tree, tree.path[held].node, tenant)
        if attachment == NONE:
            break
        tree.path[held].attachment = attachment
        prefetch(attachment_at(tree, attachment))
        held += 1
    for i in range(tree.path_len):
        if i < held:
            attachment = tree.path[i].attachment
        else:
            attachment = attach(tree, tree.path[i].node, tenant, up)
            if attachment >= FULL:
                result = attachment
                break
        attachment_at(tree, attachment).stamp = tree.clock
        up = attachment
        parent = tree.path[i].node
    # Nothing of this path is in the queue of uses yet, so it is not evicted to make room for its own rest.
    while tree.total > tree.cap and evict(tree):
        pass
    if result < FULL and not tree.input_exhausted:
        result = add_rest(tree, tenant, parent, &up)
    if up != NONE:
        use_at(tree, tree.use_tail)[0] = Use(tree.clock, up)
        tree.use_tail += 1
    while tree.attachments > tree.attachment_cap and evict(tree):
        pass
    sweep(tree)
    return -1 if result == NONE else 0


cdef int reserve(Tree tree, uint32_t tenant) noexcept nogil:
    """Room in all arrays for what one commit surely needs, so that no step fails half-way."""
    cdef uint64_t shared = tree.path_len
    cdef uint32_t i
    if tree.mid_edge:
        shared += node_at(tree, tree.path[tree.path_len - 1].node).tenants
    if (reserve_node(tree) < 0
            or array_reserve(&tree.shared_array, (tree.shared_count + shared) * sizeof(Attachment)) < 0
            or array_reserve(&tree.tenant_array, (<size_t>tenant + 1) * sizeof(Tenant)) < 0):
        return -1
    for i in range(tree.tenant_top, tenant + 1):
        tenant_of(tree, i).size = 0
        tenant_of(tree, i).first = NONE
        tenant_of(tree, i).count = 0
    if tenant >= tree.tenant_top:
        tree.tenant_top = tenant + 1
    if tree.use_tail - tree.use_head > tree.use_mask:
        return grow_uses(tree)
    return 0


cdef uint32_t split_last(Tree tree) noexcept nogil:
    """Cuts the label of the path's last node where the input leaves it; the new upper node replaces it there.

    NONE or FULL when there is no memory: nothing changed.
    """
    cdef uint32_t lower = tree.path[tree.path_len - 1].node
    cdef Node* n = node_at(tree, lower)
    cdef Node* u
    cdef uint32_t cut = tree.edge_size
    cdef uint32_t rest = n.size - cut
    cdef uint32_t upper
    cdef uint32_t label = ROOT
    cdef uint32_t table = ROOT
    cdef uint32_t* tenants
    cdef uint32_t attachment
    cdef uint32_t room
    cdef uint32_t i
    if cut > SHORT and rest > SHORT:
        label = tree.labels.take(min(cut, rest))
        if label >= FULL:
            return label
    if n.tenants > 1:
        table = tree.tables.take(<size_t>n.tenants * 8)
        if table >= FULL:
            if label != ROOT:
                tree.labels.give(label)
            return table
    upper = new_node(tree)
    u = node_at(tree, upper)
    u[0] = n[0]
    u.units = tree.edge_units
    u.children = 1
    u.table = table
    (<Slot*>tree.slot_array.base)[slot_of(tree, lower)].node = upper
    split_label(tree, upper, lower, cut, label)
    n.parent = upper
    n.units -= tree.edge_units
    n.key = key_at(tree, label_of(tree, n))
    put_slot(tree, lower, hash_of(tree, upper, n.key))
    u.own.tenant = NONE
    if u.tenants == 1:
        copy_attachment(tree, n.own.node, upper, upper)
    else:
        tenants = table_of(tree, u)
        room = room_of(tree, u)
        memcpy(tenants, table_of(tree, n), <size_t>n.tenants * 4)
        for i in range(u.tenants):
            attachment = upper if i == 0 else new_shared(tree)
            tenants[room + i] = attachment
            copy_attachment(tree, table_of(tree, n)[room_of(tree, n) + i], attachment, upper)
    tree.attachments += u.tenants
    tree.path[tree.path_len - 1].node = upper
    return ROOT


cdef void split_label(Tree tree, uint32_t upper, uint32_t lower, uint32_t cut, uint32_t label) noexcept nogil:
    """The first `cut` bytes to `upper`, a copy of `lower`; the rest stays. The longer part keeps the extent."""
    cdef Node* u = node_at(tree, upper)
    cdef Node* n = node_at(tree, lower)
    cdef uint32_t size = n.size
    cdef uint32_t rest = size - cut
    cdef uint32_t old = n.label
    cdef uint32_t skip = n.skip
    cdef char* text = label_of(tree, n)
    cdef char[SHORT] head
    cdef char[SHORT] tail
    memcpy(head, text, min(cut, <uint32_t>SHORT))
    memcpy(tail, text + cut, min(rest, <uint32_t>SHORT))
    set_size(tree, upper, cut)
    set_size(tree, lower, rest)
    if cut > SHORT and rest > SHORT:
        if cut <= rest:
            memcpy(content(tree.labels, label), text, cut)
            u.label = label
            u.skip = 0
            n.label = tree.labels.trim(old, cut, &skip)
            n.skip = skip
        else:
            memcpy(content(tree.labels, label), text + cut, rest)
            n.label = label
            n.skip = 0
            tree.labels.shrink(old, <size_t>skip + cut)
    elif rest > SHORT:
        memcpy(&u.label, head, cut)
        n.label = tree.labels.trim(old, cut, &skip)
        n.skip = skip
    else:
        memcpy(&n.label, tail, rest)
        if cut > SHORT:
            tree.labels.shrink(old, <size_t>skip + cut)
        else:
            memcpy(&u.label, head, cut)
            if size > SHORT:
                tree.labels.give(old)


cdef void copy_attachment(Tree tree, uint32_t source, uint32_t attachment, uint32_t node) noexcept nogil:
    """The same tenant on the node above, used as lately."""
    cdef Attachment* s = attachment_at(tree, source)
    cdef Attachment* a = attachment_at(tree, attachment)
    a.tenant = s.tenant
    a.stamp = s.stamp
    a.node = node
    a.up = s.up
    s.up = attachment
    list_first(tree, attachment)


cdef uint32_t add_rest(Tree tree, uint32_t tenant, uint32_t parent, uint32_t* up) noexcept nogil:
    """What is not matched, below `parent`, piece by piece. `up`: this tenant's attachment to `parent`, then the last.

    NONE: no memory. FULL: no place, although nothing but this path is left.
    """
    cdef const char* text
    cdef int64_t at = tree.matched_size
    cdef int64_t units_left = tree.data_units - tree.matched_units
    cdef uint32_t size
    cdef uint32_t units
    cdef uint32_t label
    cdef uint32_t node
    cdef Node* n
    while at < tree.data_size:
        text = tree.data + at
        if tree.data_size - at <= tree.piece:
            size = <uint32_t>(tree.data_size - at)
            units = <uint32_t>units_left
        else:
            size = tree.piece
            while tree.page == 0 and inside_character(text[size]):
                size -= 1
            units = size if tree.data_ascii else count_units(tree, text, size)
        # First what is old goes, then the new comes: its memory is free again, and still in the cache.
        while tree.total + units > tree.cap or tree.attachments >= tree.attachment_cap:
            if not evict(tree):
                return FULL
        if reserve_node(tree) < 0:
            return NONE
        label = ROOT
        if size > SHORT:
            label = tree.labels.take(size)
            while label == FULL:
                if not evict(tree):
                    return FULL
                label = tree.labels.take(size)
            if label == NONE:
                return NONE
        node = new_node(tree)
        n = node_at(tree, node)
        n.parent = parent
        n.key = key_at(tree, text)
        n.label = label
        n.skip = 0
        set_size(tree, node, size)
        n.units = units
        n.children = 0
        n.tenants = 0
        n.own.tenant = NONE
        memcpy(label_of(tree, n), text, size)
        node_at(tree, parent).children += 1
        put_slot(tree, node, hash_of(tree, parent, n.key))
        up[0] = attach(tree, node, tenant, up[0])
        n.own.stamp = tree.clock
        parent = node
        at += size
        units_left -= units
    return ROOT


cdef class Tree:
    """Use TextTree or TokenTree."""

    def __cinit__(self):
        self.piece = PIECE

    def __init__(self, max_size, max_attachments):
        if not 0 <= max_size < 1 << 62:
            raise ValueError("max_size")
        if max_attachments is None:
            max_attachments = max(max_size // 16, 1 << 16)
        if max_attachments < 1:
            raise ValueError("max_attachments")
        if self.nodes:
            raise RuntimeError("made only once")
        self.cap = max_size
        self.attachment_cap = min(max_attachments, MOST_INDEX)

    def __dealloc__(self):
        array_free(&self.path_array)

    cdef int walk(self, object input) except -1:
        raise NotImplementedError

    cdef int descend(self) except -1:
        """Follows `data` as far as the tree goes."""
        cdef const char* rest
        cdef const char* label
        cdef uint32_t node = ROOT
        cdef int64_t at = 0
        cdef int64_t units = 0
        cdef size_t shared
        cdef Node* n
        self.path_len = 0
        self.mid_edge = False
        if self.page == 0:
            scout(self, self.data, self.data_size)
        while at < self.data_size:
            rest = self.data + at
            node = find_child(self, node, rest)
            if node == ROOT:
                break
            n = node_at(self, node)
            if n.tenants > 1:
                prefetch(table_of(self, n) + n.tenants // 2)
            label = label_of(self, n)
            shared = min(<int64_t>n.size, self.data_size - at)
            shared = common_prefix(label, rest, shared)
            if shared == n.size:
                at += n.size
                units += n.units
            else:
                # At least one character or page is shared: the child was found by it.
                if self.page:
                    shared -= shared % self.page
                else:
                    while inside_character(label[shared]):
                        shared -= 1
                self.mid_edge = True
                self.edge_size = <uint32_t>shared
                if self.data_ascii or n.units == n.size:
                    self.edge_units = <uint32_t>shared
                else:
                    self.edge_units = count_units(self, label, shared)
                at += shared
                units += self.edge_units
            if step(self, node, units) < 0:
                self.forget()
                raise MemoryError
            if self.mid_edge:
                break
        self.matched_size = at
        self.matched_units = units
        self.input_exhausted = at == self.data_size
        self.walked = True
        return self.path_len

    cdef int commit(self, uint32_t tenant) except -1:
        cdef int result
        if not self.walked:
            raise RuntimeError("commit without a walk")
        if tenant > MOST_TENANT:
            self.forget()
            raise ValueError("tenant")
        result = store(self, tenant)
        self.forget()
        if result < 0:
            raise MemoryError
        return 0

    cdef void forget(self) noexcept:
        self.walked = False
        self.data = NULL
        self.path_len = 0

    cdef uint32_t tenant_count(self, uint32_t node) noexcept nogil:
        return node_at(self, node).tenants

    cdef const uint32_t* tenant_list(self, uint32_t node) noexcept nogil:
        cdef Node* n = node_at(self, node)
        return <const uint32_t*><void*>&n.own if n.tenants == 1 else table_of(self, n)

    cdef uint32_t tenant_at(self, uint32_t node, uint32_t i) noexcept nogil:
        return self.tenant_list(node)[i]

    cdef bint holds(self, uint32_t node, uint32_t tenant) noexcept nogil:
        return find_tenant(self, node, tenant) != NONE

    cdef uint32_t child_count(self, uint32_t node) noexcept nogil:
        return node_at(self, node).children

    # -- for Python

    @property
    def max_size(self):
        """Units at most, summed over tenants: what two hold counts twice. May be set; what is too much goes."""
        return self.cap

    @max_size.setter
    def max_size(self, int64_t units):
        if units < 0:
            raise ValueError("max_size")
        self.forget()
        self.cap = units
        while self.total > self.cap and evict(self):
            pass

    def match(self, input):
        """How far each node on the path of `input` reaches (units from the start), and its tenants; root side first.

        Changes nothing, not even what counts as used.
        """
        cdef int i
        cdef uint32_t k
        self.walk(input)
        try:
            return [
                (self.path[i].units,
                 [self.tenant_at(self.path[i].node, k) for k in range(self.tenant_count(self.path[i].node))])
                for i in range(self.path_len)
            ]
        finally:
            self.forget()

    def insert(self, input, uint32_t tenant):
        """Remembers that `tenant` (0 to 2**20) has seen `input`; an input above max_size as far as it fits."""
        self.walk(input)
        self.commit(tenant)

    def remove(self, uint32_t tenant):
        """Forgets all that this tenant has; nothing, if it has nothing."""
        self.forget()
        purge(self, tenant)

    def size(self, uint32_t tenant):
        """Units that this tenant holds."""
        return tenant_of(self, tenant).size if tenant < self.tenant_top else 0

    def tenants(self):
        """Those that hold anything, ascending."""
        cdef uint32_t i
        return [i for i in range(self.tenant_top) if tenant_of(self, i).count]
