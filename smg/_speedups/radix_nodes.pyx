# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""What a routing tree consists of: nodes, their place in the table of children, attachments, the queue of uses.

Everything is an index into arrays that grow (extents.pyx). No Python object, no pointer, and for most nodes one cache
line. What holds between all this, and why, is said in radix_core.pyx, which walks and stores.
"""

import os

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from smg._speedups.extents cimport FULL, NONE, Array, Extents, array_free, array_reserve, content, granules

cdef extern from * nogil:
    void prefetch "__builtin_prefetch"(const void* where)

cdef enum:
    FIRST_BITS = 6           # of the table of slots
    FIRST_USES = 64
    BRIEF = 255              # a label of so many bytes or more

# Secret, so that nobody can choose prompts whose children meet in one place of the table.
cdef uint64_t FACTOR_1 = int.from_bytes(os.urandom(8), "little") | 1
cdef uint64_t FACTOR_2 = int.from_bytes(os.urandom(8), "little") | 1
cdef uint64_t START = int.from_bytes(os.urandom(8), "little")


cdef class Nodes:
    """The memory of a tree."""

    def __cinit__(self):
        self.labels = Extents()
        self.tables = Extents()
        self.hash_mask = 0xFFFFFFFF
        self.slot_bits = FIRST_BITS
        self.use_mask = FIRST_USES - 1
        self.node_free = NONE
        self.shared_free = NONE
        if (array_reserve(&self.node_array, 64 * sizeof(Node)) < 0
                or array_reserve(&self.use_array, FIRST_USES * sizeof(Use)) < 0
                or array_reserve(&self.slot_array, sizeof(Slot) << FIRST_BITS) < 0):
            raise MemoryError
        memset(self.node_array.base, 0, sizeof(Node))
        memset(self.use_array.base, 0, FIRST_USES * sizeof(Use))
        memset(self.slot_array.base, 0, sizeof(Slot) << FIRST_BITS)
        self.node_top = 1

    def __dealloc__(self):
        array_free(&self.node_array)
        array_free(&self.brief_array)
        array_free(&self.shared_array)
        array_free(&self.slot_array)
        array_free(&self.tenant_array)
        array_free(&self.use_array)

    @property
    def memory(self):
        """Bytes of all arrays."""
        return (self.node_array.capacity + self.brief_array.capacity + self.shared_array.capacity
                + self.slot_array.capacity + self.tenant_array.capacity + self.use_array.capacity
                + self.labels.array.capacity + self.tables.array.capacity)


# -- nodes and the table of children: open addressing, ordered by the hash's upper bits, so it grows in one sweep

cdef uint32_t key_at(Nodes tree, const char* text) noexcept nogil:
    """What children are told apart by: for text their first character, as its bytes."""
    cdef uint32_t key = <unsigned char>text[0]
    cdef uint64_t digest
    cdef uint32_t token
    cdef uint32_t i
    if tree.page == 0:
        if key >= 0xC0:
            key |= <uint32_t><unsigned char>text[1] << 8
            if key & 0xFF >= 0xE0:
                key |= <uint32_t><unsigned char>text[2] << 16
                if key & 0xFF >= 0xF0:
                    key |= <uint32_t><unsigned char>text[3] << 24
        return key
    digest = START
    for i in range(tree.page >> 2):
        memcpy(&token, text + 4 * i, 4)
        digest = (digest + token) * FACTOR_1
        digest ^= digest >> 32
    return <uint32_t>(digest * FACTOR_2 >> 32) & tree.hash_mask


cdef uint32_t hash_of(Nodes tree, uint32_t parent, uint32_t key) noexcept nogil:
    cdef uint64_t mixed = (<uint64_t>parent << 32 | key) * FACTOR_1
    mixed ^= mixed >> 32
    return <uint32_t>(mixed * FACTOR_2 >> 32) & tree.hash_mask


cdef inline uint32_t home_of(Nodes tree, uint32_t hash) noexcept nogil:
    return <uint32_t>(<uint64_t>hash >> (32 - tree.slot_bits))


cdef uint32_t find_child(Nodes tree, uint32_t parent, const char* text) noexcept nogil:
    """The child whose label starts as `text` does, ROOT for none."""
    cdef uint32_t key = key_at(tree, text)
    cdef uint32_t hash = hash_of(tree, parent, key)
    cdef uint32_t last = (<uint32_t>1 << tree.slot_bits) - 1
    cdef uint32_t at = home_of(tree, hash)
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef Node* n
    while slots[at].node != ROOT:
        if slots[at].hash == hash:
            n = node_at(tree, slots[at].node)
            if n.parent == parent and n.key == key and (
                    tree.page == 0 or memcmp(label_of(tree, n), text, tree.page) == 0):
                return slots[at].node
        at = (at + 1) & last
    return ROOT


cdef inline unsigned char* brief_size(Nodes tree, uint32_t node) noexcept nogil:
    return <unsigned char*>tree.brief_array.base + node


cdef void set_size(Nodes tree, uint32_t node, uint32_t size) noexcept nogil:
    node_at(tree, node).size = size
    brief_size(tree, node)[0] = size if size < BRIEF else BRIEF


cdef void scout(Nodes tree, const char* text, int64_t size) noexcept nogil:
    """Asks for the nodes that `descend` will visit, as far as it can guess them without waiting for any.

    The hash says which node it most likely is, one byte per node says how long its label is. Without, each level costs
    two misses one after the other, the slot and the node; with, mostly the slot.
    """
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef uint32_t last = (<uint32_t>1 << tree.slot_bits) - 1
    cdef uint32_t node = ROOT
    cdef int64_t at = 0
    cdef uint32_t hash
    cdef uint32_t slot
    cdef uint32_t label = 0
    while label < BRIEF and at < size:
        hash = hash_of(tree, node, key_at(tree, text + at))
        slot = home_of(tree, hash)
        while slots[slot].hash != hash and slots[slot].node != ROOT:
            slot = (slot + 1) & last
        node = slots[slot].node
        if node == ROOT:
            return
        prefetch(node_at(tree, node))
        label = brief_size(tree, node)[0]
        at += label


cdef uint32_t slot_of(Nodes tree, uint32_t node) noexcept nogil:
    """Where this node is."""
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef Node* n = node_at(tree, node)
    cdef uint32_t last = (<uint32_t>1 << tree.slot_bits) - 1
    cdef uint32_t at = home_of(tree, hash_of(tree, n.parent, n.key))
    while slots[at].node != node:
        at = (at + 1) & last
    return at


cdef void put_slot(Nodes tree, uint32_t node, uint32_t hash) noexcept nogil:
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef uint32_t last = (<uint32_t>1 << tree.slot_bits) - 1
    cdef uint32_t at = home_of(tree, hash)
    while slots[at].node != ROOT:
        at = (at + 1) & last
    slots[at].node = node
    slots[at].hash = hash


cdef void remove_slot(Nodes tree, uint32_t node) noexcept nogil:
    """Moves up what stands behind it and may, so that no search ends too early."""
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef uint32_t last = (<uint32_t>1 << tree.slot_bits) - 1
    cdef uint32_t hole = slot_of(tree, node)
    cdef uint32_t at = hole
    while True:
        at = (at + 1) & last
        if slots[at].node == ROOT:
            break
        if ((at - home_of(tree, slots[at].hash)) & last) >= ((at - hole) & last):
            slots[hole] = slots[at]
            hole = at
    slots[hole].node = ROOT


cdef int grow_slots(Nodes tree) noexcept nogil:
    cdef Array old = tree.slot_array
    cdef Slot* slots = <Slot*>old.base
    cdef size_t count = <size_t>1 << tree.slot_bits
    cdef size_t i
    cdef Array grown
    memset(&grown, 0, sizeof(grown))
    if array_reserve(&grown, count * 2 * sizeof(Slot)) < 0:
        return -1
    memset(grown.base, 0, count * 2 * sizeof(Slot))
    tree.slot_array = grown
    tree.slot_bits += 1
    for i in range(count):
        if slots[i].node != ROOT:
            put_slot(tree, slots[i].node, slots[i].hash)
    array_free(&old)
    return 0


cdef int reserve_node(Nodes tree) noexcept nogil:
    """Room for one more node and its slot."""
    if (array_reserve(&tree.node_array, (<size_t>tree.node_top + 1) * sizeof(Node)) < 0
            or array_reserve(&tree.brief_array, tree.node_top + 1) < 0):
        return -1
    if (<uint64_t>tree.nodes + 1) * 4 > <uint64_t>3 << tree.slot_bits:
        return grow_slots(tree)
    return 0


cdef uint32_t new_node(Nodes tree) noexcept nogil:
    cdef uint32_t node = tree.node_free
    if node == NONE:
        node = tree.node_top
        tree.node_top += 1
    else:
        tree.node_free = node_at(tree, node).parent
    tree.nodes += 1
    return node


cdef void drop(Nodes tree, uint32_t node) noexcept nogil:
    """Deletes a node that nobody holds, and above it what this leaves empty (only `purge` leaves any)."""
    cdef Node* n = node_at(tree, node)
    cdef uint32_t parent
    while node != ROOT and n.tenants == 0 and n.children == 0:
        parent = n.parent
        remove_slot(tree, node)
        if n.size > SHORT:
            tree.labels.give(n.label)
        n.parent = tree.node_free
        tree.node_free = node
        tree.nodes -= 1
        node = parent
        n = node_at(tree, node)
        n.children -= 1


# -- attachments

cdef inline uint32_t lower_bound(const uint32_t* ascending, uint32_t count, uint32_t value) noexcept nogil:
    """How many are smaller."""
    cdef uint32_t at = 0
    cdef uint32_t half
    while count > 1:
        half = count >> 1
        at += half if ascending[at + half - 1] < value else 0
        count -= half
    return at + (count == 1 and ascending[at] < value)


cdef uint32_t find_tenant(Nodes tree, uint32_t node, uint32_t tenant) noexcept nogil:
    """Its attachment to this node, or NONE."""
    cdef Node* n = node_at(tree, node)
    cdef uint32_t* table
    cdef uint32_t at
    if n.tenants == 1:
        return n.own.node if n.own.tenant == tenant else <uint32_t>NONE
    table = table_of(tree, n)
    at = lower_bound(table, n.tenants, tenant)
    if at < n.tenants and table[at] == tenant:
        return table[room_of(tree, n) + at]
    return NONE


cdef uint32_t new_shared(Nodes tree) noexcept nogil:
    cdef uint32_t index = tree.shared_free
    if index == NONE:
        index = tree.shared_top | <uint32_t>SHARED
        tree.shared_top += 1
    else:
        tree.shared_free = attachment_at(tree, index).after
    tree.shared_count += 1
    return index


cdef void list_first(Nodes tree, uint32_t attachment) noexcept nogil:
    """Into the list of its tenant."""
    cdef Attachment* a = attachment_at(tree, attachment)
    cdef Tenant* t = tenant_of(tree, a.tenant)
    a.before = NONE
    a.after = t.first
    if t.first != NONE:
        attachment_at(tree, t.first).before = attachment
    t.first = attachment
    t.count += 1


cdef uint32_t set_room(Nodes tree, uint32_t node, uint32_t room) noexcept nogil:
    """Moves the tenants of a node into a table for `room` of them; NONE and FULL: nothing changed."""
    cdef uint32_t table = tree.tables.take(<size_t>room * 8)
    cdef Node* n = node_at(tree, node)
    cdef uint32_t* target
    if table >= FULL:
        return table
    room = granules(tree.tables, table) * 2 - 1
    target = <uint32_t*>content(tree.tables, table)
    if n.tenants == 1:
        target[0] = n.own.tenant
        target[room] = n.own.node
        if n.own.node != node:
            n.own.tenant = NONE
    else:
        memcpy(target, table_of(tree, n), <size_t>n.tenants * 4)
        memcpy(target + room, table_of(tree, n) + room_of(tree, n), <size_t>n.tenants * 4)
        tree.tables.give(n.table)
    n.table = table
    return ROOT


cdef uint32_t attach(Nodes tree, uint32_t node, uint32_t tenant, uint32_t up) noexcept nogil:
    """A new attachment, without a stamp; NONE and FULL: nothing changed."""
    cdef Node* n = node_at(tree, node)
    cdef Attachment* a
    cdef uint32_t attachment = node
    cdef uint32_t result
    cdef uint32_t at
    cdef uint32_t* tenants
    cdef uint32_t* attachments
    if n.tenants:
        if n.tenants == 1 or n.tenants == room_of(tree, n):
            result = set_room(tree, node, n.tenants * 2 + 1)
            if result >= FULL:
                return result
        if n.own.tenant != NONE:
            attachment = new_shared(tree)
        tenants = table_of(tree, n)
        attachments = tenants + room_of(tree, n)
        at = lower_bound(tenants, n.tenants, tenant)
        memmove(tenants + at + 1, tenants + at, <size_t>(n.tenants - at) * 4)
        memmove(attachments + at + 1, attachments + at, <size_t>(n.tenants - at) * 4)
        tenants[at] = tenant
        attachments[at] = attachment
    n.tenants += 1
    a = attachment_at(tree, attachment)
    a.tenant = tenant
    a.node = node
    a.up = up
    list_first(tree, attachment)
    tenant_of(tree, tenant).size += n.units
    tree.total += n.units
    tree.attachments += 1
    return attachment


cdef void detach(Nodes tree, uint32_t attachment) noexcept nogil:
    """Also deletes the node when nobody else holds it."""
    cdef Attachment* a = attachment_at(tree, attachment)
    cdef Tenant* t = tenant_of(tree, a.tenant)
    cdef uint32_t node = a.node
    cdef Node* n = node_at(tree, node)
    cdef uint32_t* tenants
    cdef uint32_t* attachments
    cdef uint32_t room
    cdef uint32_t at
    if a.before != NONE:
        attachment_at(tree, a.before).after = a.after
    else:
        t.first = a.after
    if a.after != NONE:
        attachment_at(tree, a.after).before = a.before
    t.count -= 1
    t.size -= n.units
    tree.total -= n.units
    tree.attachments -= 1
    n.tenants -= 1
    if n.tenants:
        tenants = table_of(tree, n)
        room = room_of(tree, n)
        attachments = tenants + room
        at = lower_bound(tenants, n.tenants + 1, a.tenant)
        memmove(tenants + at, tenants + at + 1, <size_t>(n.tenants - at) * 4)
        memmove(attachments + at, attachments + at + 1, <size_t>(n.tenants - at) * 4)
        if not attachment & SHARED:
            a.tenant = NONE
        if n.tenants == 1:
            # Its attachment stays where it is, for others know it by its place.
            n.own.tenant = tenants[0]
            n.own.node = attachments[0]
            tree.tables.give(n.table)
        elif n.tenants * 4 < room:
            set_room(tree, node, n.tenants * 2)
    a.stamp = 0
    if attachment & SHARED:
        a.after = tree.shared_free
        tree.shared_free = attachment
        tree.shared_count -= 1
    if n.tenants == 0:
        drop(tree, node)


cdef void purge(Nodes tree, uint32_t tenant) noexcept nogil:
    """In any order: a node emptied before its children goes with the last of them."""
    if tenant < tree.tenant_top:
        while tenant_of(tree, tenant).first != NONE:
            detach(tree, tenant_of(tree, tenant).first)


# -- the queue of uses, and eviction

cdef uint32_t oldest_use(Nodes tree) noexcept nogil:
    """The attachment to be evicted next, NONE when nothing is in the queue."""
    cdef Use* use
    while True:
        if tree.use_head == tree.use_kept:
            tree.use_head = tree.use_swept
            tree.use_kept = tree.use_swept
        if tree.use_head == tree.use_tail:
            return NONE
        use = use_at(tree, tree.use_head)
        if attachment_at(tree, use.attachment).stamp == use.stamp:
            return use.attachment
        drop_use(tree)


cdef inline void drop_use(Nodes tree) noexcept nogil:
    tree.use_head += 1
    if tree.use_kept < tree.use_head:
        tree.use_kept = tree.use_head
        tree.use_swept = tree.use_head
    look_ahead(tree)


cdef bint evict(Nodes tree) noexcept nogil:
    """Takes away what was not used for the longest time; false when there is nothing."""
    cdef uint32_t attachment = oldest_use(tree)
    cdef Attachment* a
    if attachment == NONE:
        return False
    a = attachment_at(tree, attachment)
    # The rest of that path, as far as it was not used again, comes next; else the entry is outdated now.
    if a.up != NONE and attachment_at(tree, a.up).stamp == a.stamp:
        use_at(tree, tree.use_head).attachment = a.up
    else:
        drop_use(tree)
    detach(tree, attachment)
    return True


cdef inline Use* use_ahead(Nodes tree, uint64_t distance) noexcept nogil:
    """That many entries behind the oldest, or NULL."""
    cdef uint64_t position = tree.use_head + distance
    if position >= tree.use_kept:
        position += tree.use_swept - tree.use_kept
    return use_at(tree, position) if position < tree.use_tail else NULL


cdef void look_ahead(Nodes tree) noexcept nogil:
    """Asks for the memory that the next evictions will touch, in steps, as each is known from the one before.

    A miss takes as long as hundreds of instructions. Prompts that come and go in one order have their nodes side by
    side and gain little; where prompts were used again in between, evicting is a quarter faster.
    """
    cdef Use* use = use_ahead(tree, 8)
    cdef Attachment* a
    if use != NULL:
        prefetch(attachment_at(tree, use.attachment))
    use = use_ahead(tree, 6)
    if use != NULL:
        a = attachment_at(tree, use.attachment)
        if a.stamp == use.stamp:
            expect_node(tree, a)
    use = use_ahead(tree, 4)
    if use != NULL:
        a = attachment_at(tree, use.attachment)
        if a.stamp == use.stamp:
            expect_rest(tree, node_at(tree, a.node))
            if a.up != NONE:
                expect_node(tree, attachment_at(tree, a.up))
    use = use_ahead(tree, 2)
    if use != NULL:
        a = attachment_at(tree, use.attachment)
        if a.stamp == use.stamp and a.up != NONE:
            a = attachment_at(tree, a.up)
            if a.stamp == use.stamp:
                expect_rest(tree, node_at(tree, a.node))


cdef inline void expect_node(Nodes tree, Attachment* a) noexcept nogil:
    prefetch(node_at(tree, a.node))
    if a.up != NONE:
        prefetch(attachment_at(tree, a.up))
    if a.before != NONE:
        prefetch(attachment_at(tree, a.before))
    if a.after != NONE:
        prefetch(attachment_at(tree, a.after))


cdef inline void expect_rest(Nodes tree, Node* n) noexcept nogil:
    cdef char* label
    if n.tenants > 1:
        prefetch(table_of(tree, n))
        return
    prefetch(node_at(tree, n.parent))
    prefetch(<Slot*>tree.slot_array.base + home_of(tree, hash_of(tree, n.parent, n.key)))
    if n.size > SHORT:
        label = content(tree.labels, n.label) - 4
        prefetch(label)
        prefetch(label + ((<size_t>n.skip + n.size + 19) & ~<size_t>15))


cdef void sweep(Nodes tree) noexcept nogil:
    """Takes outdated entries out of the queue, four entries per commit, when it has become long.

    Entries that are kept move up; when the end is reached, the queue ends behind the last one kept.
    """
    cdef Use* use
    cdef int _i
    if (tree.use_kept == tree.use_swept
            and tree.use_tail - tree.use_head < <uint64_t>tree.attachments + (tree.attachments >> 1) + FIRST_USES):
        return
    for _i in range(4):
        if tree.use_swept == tree.use_tail:
            tree.use_tail = tree.use_kept
            tree.use_kept = tree.use_head
            tree.use_swept = tree.use_head
            return
        use = use_at(tree, tree.use_swept)
        if attachment_at(tree, use.attachment).stamp == use.stamp:
            use_at(tree, tree.use_kept)[0] = use[0]
            tree.use_kept += 1
        tree.use_swept += 1
        # Not read beyond the tail, only asked for.
        prefetch(attachment_at(tree, use_at(tree, tree.use_swept + 4).attachment))


cdef int grow_uses(Nodes tree) noexcept nogil:
    cdef Array grown
    cdef uint64_t at = tree.use_head
    cdef uint64_t count = 0
    memset(&grown, 0, sizeof(grown))
    if array_reserve(&grown, (tree.use_mask + 1) * 2 * sizeof(Use)) < 0:
        return -1
    memset(grown.base, 0, (tree.use_mask + 1) * 2 * sizeof(Use))
    while at != tree.use_tail:
        if at == tree.use_kept and at != tree.use_swept:
            at = tree.use_swept
            continue
        (<Use*>grown.base)[count] = use_at(tree, at)[0]
        count += 1
        at += 1
    array_free(&tree.use_array)
    tree.use_array = grown
    tree.use_mask = tree.use_mask * 2 + 1
    tree.use_head = 0
    tree.use_kept = 0
    tree.use_swept = 0
    tree.use_tail = count
    return 0
