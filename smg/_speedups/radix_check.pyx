# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""For tests: looks at every structure of a routing tree, and shows it."""

from libc.stdint cimport uint32_t, uint64_t

from smg._speedups.extents cimport NONE
from smg._speedups.radix_core cimport Tree
from smg._speedups.radix_nodes cimport (
    SHARED, SHORT, Attachment, Node, Slot, attachment_at, find_child, find_tenant, hash_of, key_at, label_of, node_at,
    tenant_of, use_at,
)


def configure(Tree tree, *, uint32_t hash_mask=0xFFFFFFFF, uint32_t granules=1 << 30, uint32_t piece=0):
    """Of an empty tree: bits of a hash that are kept (so that they collide), size of the arenas, of a label."""
    assert tree.nodes == 0
    tree.hash_mask = hash_mask
    tree.labels.limit = granules
    tree.tables.limit = granules
    if piece:
        tree.piece = piece


def layout(Tree tree):
    """Bytes of each array; of the arenas also what is in use."""
    return {
        "labels": tree.labels.array.capacity,
        "labels used": tree.labels.used * 16,
        "labels reached": tree.labels.top * 16,
        "tables": tree.tables.array.capacity,
        "tables used": tree.tables.used * 16,
        "nodes": tree.node_array.capacity,
        "shared": tree.shared_array.capacity,
        "slots": tree.slot_array.capacity,
        "uses": tree.use_array.capacity,
    }


cdef bytes whole_label(Tree tree, uint32_t node):
    cdef Node* n = node_at(tree, node)
    if node == 0:
        return b""
    return whole_label(tree, n.parent) + label_of(tree, n)[:n.size]


cdef list queue(Tree tree):
    """The attachments in the order in which they would be evicted."""
    cdef uint64_t at = tree.use_head
    cdef uint32_t attachment
    cdef uint64_t stamp
    assert tree.use_head <= tree.use_kept <= tree.use_swept <= tree.use_tail
    assert tree.use_tail - tree.use_head <= tree.use_mask + 1
    found = []
    while at != tree.use_tail:
        if at == tree.use_kept and at != tree.use_swept:
            at = tree.use_swept
            continue
        attachment = use_at(tree, at).attachment
        stamp = use_at(tree, at).stamp
        assert 0 < stamp <= tree.clock
        while attachment != NONE and attachment_at(tree, attachment).stamp == stamp:
            found.append(attachment)
            attachment = attachment_at(tree, attachment).up
        at += 1
    return found


def order(Tree tree):
    """(bytes from the root, tenant) of every attachment, in the order in which they would be evicted."""
    cdef uint32_t at
    return [
        (whole_label(tree, attachment_at(tree, at).node), attachment_at(tree, at).tenant) for at in queue(tree)
    ]


def check(Tree tree):
    """Raises AssertionError where one structure contradicts another."""
    assert sizeof(Node) == 64
    labels = tree.labels.check()
    tables = tree.tables.check()
    live = check_nodes(tree, labels, tables)
    assert not labels, "text that no node has"
    assert not tables, "a table that no node has"
    places = queue(tree)
    assert len(places) == len(set(places)) == tree.attachments <= tree.attachment_cap
    check_attachments(tree, live, set(places))
    check_slots(tree, live)


cdef set check_nodes(Tree tree, dict labels, dict tables):
    cdef uint32_t at = tree.node_free
    cdef uint32_t tenant
    cdef uint32_t i
    cdef Node* n
    spare = set()
    while at != NONE:
        assert at not in spare and 0 < at < tree.node_top
        assert node_at(tree, at).own.stamp == 0
        spare.add(at)
        at = node_at(tree, at).parent
    live = set(range(1, tree.node_top)) - spare
    assert len(live) == tree.nodes
    children = dict.fromkeys(live, 0)
    children[0] = 0
    starts = set()
    for at in live:
        n = node_at(tree, at)
        assert n.parent in children, "the parent is gone"
        children[n.parent] += 1
        assert 0 < n.size <= tree.piece
        if n.size > SHORT:
            assert n.size + n.skip + 4 <= labels.pop(n.label) * 16, "the label is longer than its extent"
        label = label_of(tree, n)[:n.size]
        if tree.page:
            assert n.size % tree.page == 0
            assert n.units == n.size // 4
            start = label[:tree.page]
        else:
            text = label.decode("utf-8", "surrogatepass")
            assert n.units == len(text)
            start = text[0]
        assert (n.parent, start) not in starts, "two children start alike"
        starts.add((n.parent, start))
        assert n.key == key_at(tree, label)
        assert n.tenants > 0, "a node without tenants"
        if n.tenants > 1:
            assert tables.pop(n.table) * 2 - 1 >= n.tenants
        tenants = [tree.tenant_at(at, i) for i in range(n.tenants)]
        assert tenants == sorted(set(tenants)), "tenants not ascending"
        if n.parent != 0:
            for tenant in tenants:
                assert tree.holds(n.parent, tenant), "holds a node, not its parent"
    for at in children:
        assert node_at(tree, at).children == children[at], "wrong count of children"
    assert node_at(tree, 0).tenants == 0
    return live


cdef int check_attachments(Tree tree, set live, set places) except -1:
    cdef uint32_t tenant
    cdef uint32_t at
    cdef uint32_t last
    cdef uint32_t above
    cdef Attachment* a
    cdef Node* n
    left = set(places)
    total = 0
    for tenant in range(tree.tenant_top):
        at = tenant_of(tree, tenant).first
        last = NONE
        size = 0
        count = 0
        while at != NONE:
            left.remove(at)
            a = attachment_at(tree, at)
            assert a.tenant == tenant and a.before == last
            assert find_tenant(tree, a.node, tenant) == at, "not found at its node"
            above = node_at(tree, a.node).parent
            if above == 0:
                assert a.up == NONE
            else:
                assert a.up == find_tenant(tree, above, tenant), "wrong link to the parent"
                assert attachment_at(tree, a.up).stamp >= a.stamp, "used later than its parent"
            assert 0 < a.stamp <= tree.clock
            size += node_at(tree, a.node).units
            count += 1
            last = at
            at = a.after
        assert (size, count) == (tenant_of(tree, tenant).size, tenant_of(tree, tenant).count)
        total += size
    assert not left, "in no tenant's list"
    assert total == tree.total <= tree.cap
    assert sum(node_at(tree, at).tenants for at in live) == tree.attachments
    for at in live:
        n = node_at(tree, at)
        assert (n.own.stamp != 0) == (at in places)
        if at not in places:
            assert n.tenants == 1 or n.own.tenant == NONE
    assert sum(bool(at & SHARED) for at in places) == tree.shared_count
    at = tree.shared_free
    spare = set()
    while at != NONE:
        assert at not in places and at not in spare
        assert at & SHARED and at & ~<uint32_t>SHARED < tree.shared_top
        assert attachment_at(tree, at).stamp == 0
        spare.add(at)
        at = attachment_at(tree, at).after
    assert len(spare) + tree.shared_count == tree.shared_top
    return 0


cdef int check_slots(Tree tree, set live) except -1:
    cdef Slot* slots = <Slot*>tree.slot_array.base
    cdef uint32_t at
    cdef Node* n
    used = [at for at in range(<uint32_t>1 << tree.slot_bits) if slots[at].node != 0]
    assert len(used) == len(live)
    assert {slots[at].node for at in used} == live
    for at in used:
        n = node_at(tree, slots[at].node)
        assert slots[at].hash == hash_of(tree, n.parent, n.key)
        assert find_child(tree, n.parent, label_of(tree, n)) == slots[at].node
    return 0
