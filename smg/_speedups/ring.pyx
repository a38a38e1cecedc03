# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""A circle of 2**64 positions with points on it, each owned by a slot: who is nearest clockwise?

The part of `smg/policies/ring.py` that must be quick: a look-up of eight probes takes 1
microsecond over 450 points and 2.5 over 600,000; in Python it took 8 and 17.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcpy

from smg._speedups.loads cimport Candidates


cdef int _order(const void *left, const void *right) noexcept nogil:
    cdef const Point *a = <const Point *> left
    cdef const Point *b = <const Point *> right
    if a.position != b.position:
        return 1 if a.position > b.position else -1
    return (a.owner > b.owner) - (a.owner < b.owner)


cdef class HashRing:
    """Points and their owners. New points are put in order at the next look-up, all at once."""

    def __cinit__(self):
        self.points = NULL
        self.count = self.ordered = self.capacity = 0

    def __dealloc__(self):
        free(self.points)

    def __len__(self):
        return self.count

    def add(self, uint32_t owner, positions):
        """Points of one more owner."""
        cdef list wanted = list(positions)
        cdef size_t needed = self.count + <size_t> len(wanted)
        cdef uint64_t position
        cdef Point *points
        if needed > self.capacity:
            needed = max(needed, 2 * self.capacity)
            points = <Point *> realloc(self.points, needed * sizeof(Point))
            if points == NULL:
                raise MemoryError
            self.points = points
            self.capacity = needed
        for position in wanted:
            self.points[self.count].position = position
            self.points[self.count].owner = owner
            self.count += 1

    def remove(self, uint32_t owner):
        """Take every point of `owner` off."""
        cdef size_t at, kept = 0, ordered = self.ordered
        for at in range(self.count):
            if at == ordered:
                self.ordered = kept
            if self.points[at].owner != owner:
                self.points[kept] = self.points[at]
                kept += 1
        if ordered == self.count:
            self.ordered = kept
        self.count = kept

    cdef int _settle(self) except -1:
        """Sort what is new and merge it in."""
        cdef size_t fresh = self.count - self.ordered
        cdef Point *tail
        # All places counted from the end; the next free one is never before the next old one.
        cdef size_t old = self.ordered, new = fresh, at = self.count
        qsort(self.points + self.ordered, fresh, sizeof(Point), _order)
        if old:
            tail = <Point *> malloc(fresh * sizeof(Point))
            if tail == NULL:
                raise MemoryError
            memcpy(tail, self.points + old, fresh * sizeof(Point))
            while new:
                at -= 1
                if old and _order(&self.points[old - 1], &tail[new - 1]) > 0:
                    old -= 1
                    self.points[at] = self.points[old]
                else:
                    new -= 1
                    self.points[at] = tail[new]
            free(tail)
        self.ordered = self.count
        return 0

    cpdef Py_ssize_t find(self, probes, Candidates candidates) except -2:
        """The place of the candidate that owns the point nearest, clockwise, to any probe.

        Points of others are skipped. -1: no candidate has a point.
        """
        cdef Py_ssize_t found = -1, place
        cdef uint64_t probe, distance, nearest = 0
        cdef size_t low, high, middle, _steps
        cdef Point *point
        if self.ordered < self.count:
            self._settle()
        for probe in <tuple?> probes:
            low, high = 0, self.count
            while low < high:
                middle = (low + high) >> 1
                if self.points[middle].position < probe:
                    low = middle + 1
                else:
                    high = middle
            for _steps in range(self.count):
                if low == self.count:
                    low = 0
                point = &self.points[low]
                distance = point.position - probe
                if found >= 0 and distance >= nearest:
                    break
                place = candidates.place(point.owner)
                if place >= 0:
                    nearest = distance
                    found = place
                    break
                low += 1
            if found < 0:
                break
        return found
