# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Memory for the routing trees.

`Array` is a C array that grows by doubling. `Extents` hands out blocks of any size inside one such array and takes
them back: free neighbours are joined at once, free blocks are found by size in constant time (two-level segregated
fit), so the array stops growing when as much is given back as is taken. Everything is an offset in granules of
16 bytes: the array may move, or lie in shared memory one day.

A block starts with four bytes: its granules and two flags. A free one ends with its granules again, for the
neighbour behind it, and carries the links of its free list: 16 bytes, so one granule is enough for any block.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove, memset

cdef extern from * nogil:
    int clz "__builtin_clz"(unsigned int)
    int ctz "__builtin_ctz"(unsigned int)

cdef enum:
    LINE = 64
    GRANULE = 16
    HEADER = 4
    BINS = 16                # free lists per power of two
    IS_FREE = 1
    AFTER_FREE = 2           # the block in front is free
    FLAGS = 2                # bits
    MOST = (1 << 30) - 1     # granules: a size and the flags share 32 bits

cdef int64_t growths_left = -1


def fail_growth_after(int64_t count):
    """Tests only: every growth of an array after `count` more fails; -1 ends that."""
    global growths_left
    growths_left = count


cdef int array_grow(Array* array, size_t size) noexcept nogil:
    global growths_left
    cdef size_t capacity = array.capacity
    cdef size_t offset = array.offset
    cdef size_t moved
    cdef void* raw
    if growths_left >= 0:
        if growths_left == 0:
            return -1
        growths_left -= 1
    # Large arrays grow by a quarter: moving them costs page tables only, and what is not used is not wasted twice.
    capacity += capacity >> 2 if capacity > (<size_t>32 << 20) else capacity
    if capacity < size:
        capacity = size
    capacity = (capacity + LINE - 1) & ~<size_t>(LINE - 1)
    raw = realloc(array.base - offset, capacity + LINE)
    if raw == NULL:
        return -1
    moved = (LINE - (<uintptr_t>raw & (LINE - 1))) & (LINE - 1)
    array.base = <char*>raw + moved
    if array.capacity and moved != offset:
        memmove(array.base, <char*>raw + offset, array.capacity)
    array.offset = moved
    array.capacity = capacity
    return 0


cdef void array_free(Array* array) noexcept nogil:
    free(array.base - array.offset)
    memset(array, 0, sizeof(Array))


cdef inline uint32_t* word(char* base, uint32_t extent) noexcept nogil:
    return <uint32_t*>(base + <size_t>extent * GRANULE)


cdef inline uint32_t list_of(uint32_t count) noexcept nogil:
    """The free list that blocks of `count` granules are in. Below 16 each size has its own."""
    cdef uint32_t level
    if count < BINS:
        return count
    level = 31 - clz(count)
    return (level - 3) * BINS + ((count >> (level - 4)) & (BINS - 1))


cdef class Extents:
    """Blocks inside one growing array; `limit` granules at most."""

    def __cinit__(self, uint32_t limit=MOST):
        self.limit = limit if limit < MOST else MOST
        memset(self.heads, 0xFF, sizeof(self.heads))

    def __dealloc__(self):
        array_free(&self.array)

    cdef void link_free(self, uint32_t extent, uint32_t count) noexcept nogil:
        cdef uint32_t at = list_of(count)
        cdef uint32_t* block = word(self.base, extent)
        cdef uint32_t head = self.heads[at]
        block[0] = (count << FLAGS) | IS_FREE
        block[1] = head
        block[2] = NONE
        (word(self.base, extent + count) - 1)[0] = count
        if head != NONE:
            word(self.base, head)[2] = extent
        self.heads[at] = extent
        self.bins[at >> 4] |= <uint16_t>(1 << (at & 15))
        self.levels |= <uint32_t>1 << (at >> 4)

    cdef void unlink_free(self, uint32_t extent, uint32_t count) noexcept nogil:
        cdef uint32_t at
        cdef uint32_t* block = word(self.base, extent)
        cdef uint32_t behind = block[1]
        cdef uint32_t ahead = block[2]
        if behind != NONE:
            word(self.base, behind)[2] = ahead
        if ahead != NONE:
            word(self.base, ahead)[1] = behind
            return
        at = list_of(count)
        self.heads[at] = behind
        if behind == NONE:
            self.bins[at >> 4] &= <uint16_t>~(1 << (at & 15))
            if self.bins[at >> 4] == 0:
                self.levels &= ~(<uint32_t>1 << (at >> 4))

    cdef uint32_t find_free(self, uint32_t count) noexcept nogil:
        """A free block of `count` granules or more, still in its list."""
        cdef uint32_t at = list_of(count)
        cdef uint32_t extent = self.heads[at]
        cdef uint32_t level
        cdef uint32_t bins
        # The block given back last often fits: prompts of one size in a full tree.
        if extent != NONE and word(self.base, extent)[0] >> FLAGS >= count:
            return extent
        # From the next list on every block fits.
        at += 1
        level = at >> 4
        bins = self.bins[level] & (0xFFFF << (at & 15)) if level < 27 else 0
        if bins == 0:
            bins = self.levels & (<uint32_t>0xFFFFFFFE << level)
            if bins == 0:
                return NONE
            level = ctz(bins)
            bins = self.bins[level]
        return self.heads[level * BINS + ctz(bins)]

    cdef uint32_t take(self, size_t size) noexcept nogil:
        """A block for `size` bytes behind its header. NONE: no memory; FULL: the limit."""
        cdef uint32_t count
        cdef uint32_t have
        cdef uint32_t extent
        cdef uint32_t* block
        if size > <size_t>MOST * GRANULE - 64:
            return FULL
        count = <uint32_t>((size + HEADER + GRANULE - 1) // GRANULE)
        extent = self.find_free(count)
        if extent == NONE:
            if <uint64_t>self.top + count > self.limit:
                return FULL
            if array_reserve(&self.array, (<size_t>self.top + count) * GRANULE) < 0:
                return NONE
            self.base = self.array.base
            extent = self.top
            self.top += count
            # What is given back at the end lowers `top`: the block in front of it is never free.
            word(self.base, extent)[0] = count << FLAGS
        else:
            block = word(self.base, extent)
            have = block[0] >> FLAGS
            self.unlink_free(extent, have)
            block[0] = count << FLAGS
            if have > count:
                self.link_free(extent + count, have - count)
            else:
                word(self.base, extent + have)[0] &= ~<uint32_t>AFTER_FREE
        self.used += count
        return extent

    cdef void give(self, uint32_t extent) noexcept nogil:
        """Takes a block back, and joins it with its free neighbours."""
        cdef uint32_t* block = word(self.base, extent)
        cdef uint32_t count = block[0] >> FLAGS
        cdef uint32_t other
        self.used -= count
        if block[0] & AFTER_FREE:
            other = (block - 1)[0]
            extent -= other
            count += other
            self.unlink_free(extent, other)
        if extent + count < self.top:
            block = word(self.base, extent + count)
            if block[0] & IS_FREE:
                other = block[0] >> FLAGS
                self.unlink_free(extent + count, other)
                count += other
        if extent + count == self.top:
            self.top = extent
            return
        self.link_free(extent, count)
        word(self.base, extent + count)[0] |= AFTER_FREE

    cdef void shrink(self, uint32_t extent, size_t size) noexcept nogil:
        """Keeps the first `size` bytes and gives the rest back."""
        cdef uint32_t* block = word(self.base, extent)
        cdef uint32_t have = block[0] >> FLAGS
        cdef uint32_t count = <uint32_t>((size + HEADER + GRANULE - 1) // GRANULE)
        if count < have:
            block[0] = (count << FLAGS) | (block[0] & AFTER_FREE)
            word(self.base, extent + count)[0] = (have - count) << FLAGS
            self.give(extent + count)

    cdef uint32_t trim(self, uint32_t extent, size_t cut, uint32_t* skip) noexcept nogil:
        """Gives the first `cut` bytes behind `skip` back; the rest stays where it is.

        Returns the extent that the rest is in now, and in `skip` how many bytes of it to pass over: the header of the
        new block takes the place of bytes that are not needed any more.
        """
        cdef uint32_t* block = word(self.base, extent)
        cdef uint32_t have = block[0] >> FLAGS
        cdef uint32_t count = <uint32_t>((skip[0] + cut) // GRANULE)
        skip[0] = <uint32_t>((skip[0] + cut) % GRANULE)
        if count == 0:
            return extent
        block[0] = (count << FLAGS) | (block[0] & AFTER_FREE)
        word(self.base, extent + count)[0] = (have - count) << FLAGS
        self.give(extent)
        return extent + count

    # -- tests only

    def check(self):
        """Walks over all blocks and lists; returns {extent: granules} of those handed out."""
        cdef uint32_t extent = 0
        cdef uint32_t count
        cdef uint32_t flags
        cdef bint after_free = False
        taken = {}
        spare = {}
        listed = {}
        while extent < self.top:
            flags = word(self.base, extent)[0]
            count = flags >> FLAGS
            assert count > 0, "an empty block"
            assert bool(flags & AFTER_FREE) == after_free, "the flag tells otherwise than the block in front"
            after_free = flags & IS_FREE
            if after_free:
                assert not flags & AFTER_FREE, "free neighbours not joined"
                assert (word(self.base, extent + count) - 1)[0] == count, "the size at the end differs"
                spare[extent] = count
            else:
                taken[extent] = count
            extent += count
        assert extent == self.top, "blocks overlap the end"
        assert not after_free, "the last block is free"
        assert self.top <= self.limit, "above the limit"
        assert <size_t>self.top * GRANULE <= self.array.capacity
        assert sum(taken.values()) == self.used, "wrong count of granules"
        for at in range(27 * BINS):
            extent = self.heads[at]
            assert bool(self.bins[at >> 4] >> (at & 15) & 1) == (extent != NONE), "wrong bit of a list"
            last = NONE
            while extent != NONE:
                assert word(self.base, extent)[2] == last, "list not linked back"
                assert extent not in listed
                listed[extent] = word(self.base, extent)[0] >> FLAGS
                assert list_of(listed[extent]) == at, "in the wrong list"
                last = extent
                extent = word(self.base, extent)[1]
        for level in range(27):
            assert bool(self.levels >> level & 1) == (self.bins[level] != 0), "wrong bit of a level"
        assert listed == spare, "free blocks and lists differ"
        return taken

    def test_take(self, size_t size):
        """An extent filled with `size` bytes of its own, or None for NONE and FULL."""
        cdef uint32_t extent = self.take(size)
        if extent >= FULL:
            return None
        memset(<char*>word(self.base, extent) + HEADER, (extent * 7 + 1) & 0xFF, size)
        return extent

    def test_bytes(self, uint32_t extent, uint32_t skip, size_t size):
        """The content behind `skip`."""
        return (<char*>word(self.base, extent) + HEADER + skip)[:size]

    def test_give(self, uint32_t extent):
        """See give."""
        self.give(extent)

    def test_shrink(self, uint32_t extent, size_t size):
        """See shrink."""
        self.shrink(extent, size)

    def test_trim(self, uint32_t extent, size_t cut, uint32_t skip):
        """See trim: (extent, skip)."""
        extent = self.trim(extent, cut, &skip)
        return extent, skip
