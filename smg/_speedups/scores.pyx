# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""How long a request would wait at each of many workers; the lowest of these in one loop.

A policy keeps the figures of every worker it knows side by side (`Figures`), each under a place,
and looks at some of them through a `Lineup`, made once per tuple of workers. Formula:
routing-reliability 4.2.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

from smg._speedups.loads cimport LoadTable

cdef uint32_t FIRST_SIZE = 8


cdef class Figures:
    """What engines said of their load, and what was sent since. Places are taken and given back.

    `mean_tokens`: of a prompt whose length is not known; `default_throughput`: tokens per second of
    an engine that says nothing about its speed.
    """

    def __cinit__(self, double mean_tokens, double default_throughput):
        self.mean_tokens = mean_tokens
        self.default_throughput = default_throughput
        self._figures = NULL
        self._size = 0
        self._top = 0
        self._free = []
        self.version = 0

    def __dealloc__(self):
        free(self._figures)

    cpdef uint32_t attach(self) except? 0xFFFFFFFF:
        """A place without a report."""
        cdef Figure *figures
        cdef uint32_t size
        cdef uint32_t place
        if self._free:
            place = self._free.pop()
        else:
            if self._top == self._size:
                size = max(FIRST_SIZE, self._size * 2)
                figures = <Figure *> realloc(self._figures, size * sizeof(Figure))
                if figures == NULL:
                    raise MemoryError
                self._figures = figures
                self._size = size
            place = self._top
            self._top += 1
        self._figures[place].reported = False
        return place

    cpdef object detach(self, uint32_t place):
        """Give a place back; its owner must not use it again."""
        self.drop(place)
        self._free.append(place)

    cpdef object report(self, uint32_t place, double queued, int64_t waiting, double throughput, double pressure):
        """A fresh report: `queued` prompt tokens and `waiting` requests wait, the engine does
        `throughput` tokens per second (0: not measured). It replaces what was credited.
        """
        cdef Figure *figure = self.at(place)
        figure.reported = True
        figure.waiting = waiting
        figure.tokens = queued
        figure.per_token = 1.0 / (throughput if throughput > 0.0 else self.default_throughput)
        figure.pressure = pressure
        figure.throughput = throughput
        self.version += 1

    cpdef object drop(self, uint32_t place):
        """The last report is not to be trusted any more."""
        self.at(place).reported = False
        self.version += 1

    cdef Figure *at(self, uint32_t place) except NULL:
        if place >= self._top:
            raise IndexError(place)
        return &self._figures[place]


cdef class Lineup:
    """Candidates in a given order: the place of each, and its slot in the table of loads.

    Scores are seconds as soon as one of them has a report, else requests in flight, and always
    multiplied with the cost of the slot. `random()` gives floats in [0, 1) and decides ties. Places
    and slots must stay attached for as long as this is used: hold the workers.
    """

    def __cinit__(self, Figures figures not None, LoadTable table not None, random, list places, list slots):
        cdef uint32_t count = len(places)
        cdef uint32_t index
        if len(slots) != count:
            raise ValueError("as many slots as places")
        self._figures = figures
        self._table = table
        self._random = random
        self.count = count
        self._places = <uint32_t *> malloc(max(1, count) * sizeof(uint32_t))
        self._slots = <uint32_t *> malloc(max(1, count) * sizeof(uint32_t))
        self._ties = <uint32_t *> malloc(max(1, count) * sizeof(uint32_t))
        if self._places == NULL or self._slots == NULL or self._ties == NULL:
            raise MemoryError
        for index in range(count):
            self._places[index] = places[index]
            self._slots[index] = slots[index]
            figures.at(self._places[index])
            if self._slots[index] >= table.top:
                raise IndexError(slots[index])
        self._settle()

    def __dealloc__(self):
        free(self._places)
        free(self._slots)
        free(self._ties)

    cpdef int32_t lowest(self, int64_t cap) except -2:
        """Position of the lowest score; one by chance if several have it. Where `cap` requests wait
        or more, nobody is sent (0: no cap); -1: that is so everywhere.
        """
        cdef double best = INFINITY
        cdef double score
        cdef uint32_t ties = 0
        cdef uint32_t index
        cdef Figure *figure
        if self._version != self._figures.version:
            self._settle()
        if self._reporting == 0:
            return self._least_loaded()
        for index in range(self.count):
            figure = &self._figures._figures[self._places[index]]
            if cap > 0 and figure.reported and figure.waiting >= cap:
                continue
            score = self._score(index)
            if score > best:
                continue
            if score < best:
                best = score
                ties = 0
            self._ties[ties] = index
            ties += 1
        return self._choose(ties)

    cpdef uint32_t lower(self, uint32_t first, uint32_t second) except? 0xFFFFFFFF:
        """That of two positions that has the lower score; `first` if both have the same."""
        if first >= self.count or second >= self.count:
            raise IndexError(max(first, second))
        if self._version != self._figures.version:
            self._settle()
        return second if self._score(second) < self._score(first) else first

    cpdef double score(self, uint32_t position) except? -1.0:
        """The score at a position."""
        self._at(position)
        if self._version != self._figures.version:
            self._settle()
        return self._score(position)

    cpdef bint reported(self, uint32_t position) except -1:
        """Whether the candidate at a position has a report."""
        return self._at(position).reported

    cpdef object credit(self, uint32_t position, double tokens):
        """A request with a prompt of `tokens` goes there; the next report will know of it."""
        cdef Figure *figure = self._at(position)
        figure.tokens += tokens
        figure.waiting += 1

    cdef Figure *_at(self, uint32_t position) except NULL:
        if position >= self.count:
            raise IndexError(position)
        return &self._figures._figures[self._places[position]]

    cdef inline double _score(self, uint32_t position) noexcept:
        cdef Figure *figure = &self._figures._figures[self._places[position]]
        cdef uint32_t slot = self._slots[position]
        cdef double score
        if figure.reported:
            score = figure.tokens * figure.per_token + figure.pressure
        else:
            score = self._table.loads[slot] * self._per_request
        return score * self._table.costs[slot]

    cdef void _settle(self) noexcept:
        # What a request in flight counts for without a report: one, or, if others report, the
        # seconds that a prompt of mean length takes at the mean of their speeds.
        cdef double speeds = 0.0
        cdef uint32_t measured = 0
        cdef uint32_t index
        cdef Figure *figure
        self._reporting = 0
        for index in range(self.count):
            figure = &self._figures._figures[self._places[index]]
            if figure.reported:
                self._reporting += 1
                if figure.throughput > 0.0:
                    speeds += figure.throughput
                    measured += 1
        self._per_request = 1.0
        if self._reporting:
            speeds = speeds / measured if measured else self._figures.default_throughput
            self._per_request = self._figures.mean_tokens / speeds
        self._version = self._figures.version

    cdef int32_t _least_loaded(self) except -2:
        # As `lowest` when nobody reports: reads two arrays instead of four.
        cdef double best = INFINITY
        cdef double score
        cdef uint32_t ties = 0
        cdef uint32_t index
        cdef bint weighted = self._table.weighted != 0
        for index in range(self.count):
            score = self._table.loads[self._slots[index]]
            if weighted:
                score *= self._table.costs[self._slots[index]]
            if score > best:
                continue
            if score < best:
                best = score
                ties = 0
            self._ties[ties] = index
            ties += 1
        return self._choose(ties)

    cdef int32_t _choose(self, uint32_t ties) except -2:
        if ties == 0:
            return -1
        if ties == 1:
            return self._ties[0]
        return self._ties[<uint32_t> (<double> self._random() * ties)]
