# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Where a prompt goes: to the worker that holds most of it, unless somebody else would be faster.

One call does what cache_aware does per request: one descent of the tree, the choice, and the insertion for the
worker that was chosen. Rules: routing-reliability 5.2 and 30 (9, 10, 11, 41-43).

Three kinds of prompt are told apart:

- **continuation**: the prompt extends the end of a stored one, or repeats it (the next turn of a chat). It follows
  its prefix until the holder is overloaded by the operator's thresholds, or so far behind (`too_far_behind`) that
  reading all of it elsewhere pays.
- **branch**: it leaves a stored prompt in the middle (a new chat under a shared system prompt). Part of it is
  cached, but other chats share that part: if all followed it, one worker would serve everybody. Here the queue in
  front of the holder is weighed against reading the shared part again elsewhere (`cheapest`).
- **new**: nothing worth mentioning is cached. Of the workers with about the least load the one with the shortest
  queue, and of equals the one that was given a new prompt longest ago.

Queues are counted in units of prompt (characters or tokens): what was sent to a worker, is not in its cache and has
not been answered by a first byte, and for every request in flight most of what requests had uncached in the mean.
Loads are requests in flight times the worker's cost. The constants below come from `python -m perf.routing --virtual`.
"""

from libc.float cimport DBL_MAX
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from smg._speedups.loads cimport LoadTable
from smg._speedups.radix cimport Tree

HIT, SPILL, MISS, NO_ELIGIBLE_HOLDER = 0, 1, 2, 3
BRANCHES = ("hit", "spill", "miss", "no_eligible_holder")

cdef enum:
    C_HIT = 0
    C_SPILL = 1
    C_MISS = 2
    C_NO_HOLDER = 3

# The mean of uncached units per request remembers so many requests.
cdef double MEAN_OF = 32
# What a request in flight adds to the queue, in means: its answer is in the way of later prompts too, but less.
cdef double IN_FLIGHT = 0.7
# A new prompt goes to one of the workers with at most so many requests more than the least loaded.
cdef double WINDOW = 1
# In larger fleets than this the search for a free worker goes round and ends at the first that has nothing to do.
cdef uint32_t EXACT = 256
# Reading a shared prefix on one more worker costs its length now, and eight times that in prompts which the copy
# drives out of that worker's cache.
cdef double DISPLACEMENT = 8
# No displacement is charged where there is room: on workers with little traffic compared with the holder. Full price
# is asked of those that had at least two fifths as many of the recent picks (the last two per worker, decaying).
cdef double FULL_PRICE_SHARE = 0.4
cdef double RECENT_PICKS = 2
# A conversation that moves is read anew and takes as much room again: it must save that many times its length. Nobody
# else shares it, so what it leaves behind makes room; hence less than DISPLACEMENT. Workers with more conversations
# than their cache holds have long queues: moving one is what helps them.
cdef double MOVING = 1.3
# Whoever takes a shared prefix to another worker reads it for all who come after. While at most half as many requests
# are under way as there are workers, the next one comes soon enough, so one with a short rest of its own (at most the
# mean of such requests) does it, and others only when staying would cost so many times as much.
cdef double PRESSING = 1.5


cdef class Placement:
    """One model's choice of workers, over one tree. `tree` may be shared with nobody else.

    threshold: share of the prompt above which a match counts, 0..1. balance_abs, balance_rel: the holder of a
    continuation is overloaded when its load is above both mean * rel and mean + abs.
    """

    def __cinit__(self):
        self.slots = NULL
        self.index_of = NULL
        self.placed = NULL
        self.pending = NULL
        self.recent = NULL
        self.known = 0
        self.room = 0

    def __init__(self, Tree tree, LoadTable loads, double threshold, double balance_abs, double balance_rel):
        self.tree = tree
        self.loads = loads
        self.threshold = threshold
        self.balance_abs = balance_abs
        self.balance_rel = balance_rel
        self.branch = C_MISS
        self.ratio = 0.0
        self.count = 0
        self.in_a_row = False
        self.cursor = 0
        self.clock = 0
        self.mean_uncached = 0.0
        self.noted = 0
        self.mean_rest = 0.0
        self.branched = 0
        self.uncached = 0
        self.pick = 1

    def __dealloc__(self):
        free(self.slots)
        free(self.index_of)
        free(self.placed)
        free(self.pending)
        free(self.recent)

    cpdef object prepare(self, object slots):
        """The workers to choose from, by slot, in the caller's order; `choose` answers with a place in it."""
        cdef uint32_t slot
        cdef uint32_t i
        cdef list all_slots = list(slots)
        cdef uint32_t top = max(all_slots, default=0) + 1
        cdef uint32_t count = len(all_slots)
        cdef void* grown
        if top > self.known:
            grown = realloc(self.index_of, top * sizeof(int32_t))
            if grown == NULL:
                raise MemoryError
            self.index_of = <int32_t*> grown
            grown = realloc(self.placed, top * sizeof(uint64_t))
            if grown == NULL:
                raise MemoryError
            self.placed = <uint64_t*> grown
            memset(self.placed + self.known, 0, (top - self.known) * sizeof(uint64_t))
            grown = realloc(self.recent, top * sizeof(double))
            if grown == NULL:
                raise MemoryError
            self.recent = <double*> grown
            for i in range(self.known, top):
                self.recent[i] = self.pick * RECENT_PICKS  # as if traffic had been even so far
            grown = realloc(self.pending, top * sizeof(double))
            if grown == NULL:
                raise MemoryError
            self.pending = <double*> grown
            memset(self.pending + self.known, 0, (top - self.known) * sizeof(double))
            self.known = top
        if count > self.room:
            grown = realloc(self.slots, count * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError
            self.slots = <uint32_t*> grown
            self.room = count
        memset(self.index_of, 0xFF, self.known * sizeof(int32_t))  # -1: not to be chosen
        for i in range(count):
            slot = all_slots[i]
            if slot >= self.loads.top:
                raise IndexError(slot)
            self.slots[i] = slot
            self.index_of[slot] = i
        self.count = count
        self.in_a_row = all_slots == list(range(all_slots[0], all_slots[0] + count)) if count else False

    cpdef object forget(self, uint32_t slot):
        """A worker is gone: nothing in the tree is its any more, and its slot may come back as another's."""
        self.tree.remove(slot)
        if slot < self.known:
            self.placed[slot] = 0
            self.pending[slot] = 0
            self.recent[slot] = self.pick * RECENT_PICKS

    cpdef object answered(self, uint32_t slot, int64_t uncached):
        """The first byte of an answer came: its prompt (the `uncached` of its choice) waits no longer."""
        if slot < self.known:
            self.pending[slot] = self.pending[slot] - uncached if self.pending[slot] > uncached else 0

    cdef inline double queue_of(self, uint32_t slot) noexcept:
        """Units to work off before a new prompt's turn comes."""
        return self.pending[slot] + self.load_of(slot) * self.per_request()

    cdef inline double per_request(self) noexcept:
        """What a request in flight adds to a queue."""
        return (self.mean_uncached if self.mean_uncached > 1 else 1) * IN_FLIGHT

    cdef inline double load_of(self, uint32_t slot) noexcept:
        if self.loads.weighted:
            return self.loads.loads[slot] * self.loads.costs[slot]
        return self.loads.loads[slot]

    cdef inline bint eligible(self, uint32_t slot) noexcept:
        return slot < self.known and self.index_of[slot] >= 0

    cdef void survey(self) noexcept:
        """Sum and minimum of the loads."""
        cdef uint32_t i
        cdef int32_t load
        cdef int32_t lowest = 0x7FFFFFFF
        cdef int64_t total = 0
        cdef double weighted
        cdef const int32_t* loads = self.loads.loads
        cdef const uint32_t* slots = self.slots
        cdef uint32_t count = self.count
        if self.loads.weighted:
            self.least = DBL_MAX
            self.total = 0
            for i in range(self.count):
                weighted = self.load_of(self.slots[i])
                self.total += weighted
                if weighted < self.least:
                    self.least = weighted
            return
        if self.in_a_row:  # the compiler makes vector code of this loop
            loads += self.slots[0]
            for i in range(count):
                load = loads[i]
                total += load
                lowest = load if load < lowest else lowest
        else:
            for i in range(count):
                load = loads[slots[i]]
                total += load
                lowest = load if load < lowest else lowest
        self.total = total
        self.least = lowest

    cdef uint32_t idlest(self) noexcept:
        """Of the workers with about the least load the one with the shortest queue, of equals the one that was given
        a new prompt longest ago (routing-reliability 30, 41)."""
        cdef uint32_t slot
        cdef uint32_t count = self.count
        cdef const uint32_t* slots = self.slots
        cdef const int32_t* loads = self.loads.loads
        cdef const double* pending = self.pending
        cdef bint weighted = self.loads.weighted != 0
        cdef uint32_t best = slots[0]
        cdef uint64_t oldest = <uint64_t> -1
        cdef double limit = self.least + WINDOW
        cdef double each = self.per_request()
        cdef double load
        cdef double queue
        cdef double shortest = DBL_MAX
        cdef uint32_t i = self.cursor if count > EXACT and self.cursor < count else 0
        for _ in range(count):
            slot = slots[i]
            i += 1
            if i == count:
                i = 0
            load = loads[slot]
            if weighted:
                load *= self.loads.costs[slot]
            queue = pending[slot] + load * each
            # Few workers get beyond this test in a large fleet.
            if queue > shortest or load > limit:
                continue
            if queue < shortest or self.placed[slot] < oldest:
                shortest = queue
                oldest = self.placed[slot]
                best = slot
                if count > EXACT and load <= self.least and pending[slot] == 0:
                    self.cursor = i  # nobody has a shorter queue, and going round keeps the order
                    break
        return best

    cdef int64_t best_holder(self, uint32_t node, double limit) noexcept:
        """The eligible tenant of `node` with the shortest queue among those with at most `limit` load, -1 if there is
        none; of equals the one that was given a new prompt longest ago. Sets `holder_load`.
        """
        cdef const uint32_t* tenants = self.tree.tenant_list(node)
        cdef uint32_t count = self.tree.tenant_count(node)
        cdef uint32_t i
        cdef uint32_t slot
        cdef int64_t best = -1
        cdef double load
        cdef double queue
        cdef double shortest = DBL_MAX
        for i in range(count):
            slot = tenants[i]
            if not self.eligible(slot):
                continue
            load = self.load_of(slot)
            if load > limit:
                continue
            queue = self.queue_of(slot)
            if best < 0 or queue < shortest or (queue == shortest and self.placed[slot] < self.placed[best]):
                shortest = queue
                self.holder_load = load
                best = slot
        return best

    cpdef int choose(self, object prompt) except -2:
        """The place (of `prepare`) of the worker for `prompt`, -1 if there is none; the prompt is stored for it.

        `branch` and `ratio` (share of the prompt that an eligible worker was found to hold) tell why.
        """
        cdef int64_t slot = self.decide(prompt)
        if slot < 0:
            return -1
        self.tree.commit(<uint32_t> slot)
        self.pending[slot] += self.uncached
        self.count_pick(<uint32_t> slot)
        return self.index_of[slot]

    cpdef int choose_least(self, object prompt) except -2:
        """As `choose`, but balance only: the caches count for nothing. Used while they are full."""
        cdef uint32_t slot
        cdef int64_t held
        if self.count == 0:
            return -1
        self.tree.walk(prompt)
        self.survey()
        slot = self.idlest()
        held = self.held_by(self.tree.path_len, slot)
        self.ratio = <double> held / self.tree.input_units if held else 0.0
        self.place(self.tree.input_units - held, slot)
        self.tree.commit(slot)
        self.pending[slot] += self.uncached
        self.count_pick(slot)
        return self.index_of[slot]

    cdef int64_t decide(self, object prompt) except -2:
        cdef Tree tree = self.tree
        cdef int steps
        cdef int k
        cdef int64_t holder = -1
        cdef int64_t chosen
        cdef int64_t units = 0
        cdef int64_t kept = 0
        cdef double load
        cdef bint continuation
        if self.count == 0:
            return -1
        steps = tree.walk(prompt)
        k = steps
        while k > 0 and holder < 0:  # the deepest step that somebody eligible holds
            k -= 1
            holder = self.best_holder(tree.path[k].node, DBL_MAX)
        self.ratio = 0.0
        if holder >= 0:
            units = tree.path[k].units
            self.ratio = <double> units / tree.input_units
        if holder < 0 or self.ratio <= self.threshold:
            self.branch = C_MISS
            if steps and <double> tree.matched_units / tree.input_units > self.threshold:
                self.branch = C_NO_HOLDER
            self.survey()
            chosen = self.idlest()
            return self.place(tree.input_units - self.held_by(steps, chosen), chosen)
        load = self.holder_load
        continuation = k == steps - 1 and (tree.input_exhausted or (
            not tree.mid_edge and tree.child_count(tree.path[k].node) == 0))
        self.branch = C_HIT
        if continuation:
            kept = units
            chosen = self.too_far_behind(steps, holder, &kept)
            if chosen >= 0:
                self.branch = C_SPILL
                return self.place(tree.input_units - kept, chosen)
            if load <= self.balance_abs:  # the overload test needs no survey below that
                self.note(tree.input_units - units)
                return holder
        self.survey()
        if continuation:
            if not self.overloaded(load):
                self.note(tree.input_units - units)
                return holder
            chosen = self.near_the_least(steps, &kept)
            self.branch = C_SPILL
            return self.place(tree.input_units - kept, chosen)
        chosen = self.cheapest(steps, k, holder, &kept)
        if chosen < 0:
            self.branch = C_SPILL
            chosen = self.idlest()
            return self.place(tree.input_units - self.held_by(steps, chosen), chosen)
        self.ratio = <double> kept / tree.input_units
        return self.place(tree.input_units - kept, chosen)

    cdef int64_t too_far_behind(self, int steps, int64_t holder, int64_t* kept) noexcept:
        """Who answers a conversation sooner than its `holder` although it reads all of it anew; -1: nobody. `kept` is
        what `holder` has of it, then what the other has."""
        cdef double saved = self.queue_of(holder) - kept[0] - MOVING * self.tree.input_units
        cdef uint32_t other
        if saved <= 0:
            return -1
        self.survey()
        other = self.idlest()
        if self.queue_of(other) >= saved:
            return -1
        kept[0] = self.held_by(steps, other)
        return other

    cdef bint overloaded(self, double load) noexcept:
        cdef double mean = self.total / self.count
        return load > mean * self.balance_rel and load > mean + self.balance_abs

    cdef int64_t near_the_least(self, int steps, int64_t* kept) noexcept:
        """Of the workers with little more than the least load the one with the deepest match, else the least loaded
        (routing-reliability 30, 42)."""
        cdef double slack = self.total / self.count * 0.1
        cdef double limit = self.least + (slack if slack > 1 else 1)
        cdef int k = steps
        cdef int64_t holder
        while k > 0:
            k -= 1
            holder = self.best_holder(self.tree.path[k].node, limit)
            if holder >= 0:
                kept[0] = self.tree.path[k].units
                return holder
        kept[0] = 0
        return self.idlest()

    cdef int64_t cheapest(self, int steps, int deepest, int64_t holder, int64_t* kept) noexcept:
        """The holder with the least to work off before the answer begins: its queue, the rest of the prompt that it
        does not hold, and what a copy of what the deepest `holder` has would displace; -1 if somebody who holds
        nothing is still cheaper.

        Shallower matches can only win by a shorter queue, so the search ends when not even an empty one would do.
        """
        cdef double whole = self.tree.input_units
        cdef double most = self.tree.path[deepest].units
        cdef double best = self.queue_of(holder) + whole - most
        cdef double cost
        cdef int k = deepest
        cdef int64_t first = holder
        cdef int64_t other
        kept[0] = self.tree.path[deepest].units
        while k > 0:
            k -= 1
            if whole - self.tree.path[k].units >= best:
                break
            other = self.best_holder(self.tree.path[k].node, DBL_MAX)
            if other < 0:
                continue
            cost = (self.queue_of(other) + whole - self.tree.path[k].units
                    + (most - self.tree.path[k].units) * self.displacement(other, first))
            if cost < best:
                best = cost
                holder = other
                kept[0] = self.tree.path[k].units
        self.branched += 1
        self.mean_rest += (whole - most - self.mean_rest) / (self.branched if self.branched < MEAN_OF else MEAN_OF)
        other = self.idlest()
        cost = self.queue_of(other) + whole + most * self.displacement(other, first)
        if cost < best and (whole - most <= self.mean_rest or cost * PRESSING < best or self.total * 2 > self.count):
            return -1
        return holder

    cdef double displacement(self, uint32_t slot, int64_t holder) noexcept:
        """What a second copy of one unit costs on `slot` beyond reading it: 0 to DISPLACEMENT."""
        cdef double full = self.recent[holder] * FULL_PRICE_SHARE
        if self.recent[slot] >= full:
            return DISPLACEMENT
        return DISPLACEMENT * self.recent[slot] / full

    cdef void count_pick(self, uint32_t slot) noexcept:
        """Later picks weigh more, which is the same as letting all earlier ones decay, without touching them."""
        cdef uint32_t i
        self.pick *= 1 + 1 / (RECENT_PICKS * self.count)
        self.recent[slot] += self.pick
        if self.pick > 1e100:
            for i in range(self.known):
                self.recent[i] /= self.pick
            self.pick = 1

    cdef int64_t held_by(self, int steps, uint32_t slot) noexcept:
        """Units of the walked prompt that `slot` holds already."""
        cdef int k = steps
        while k > 0:
            k -= 1
            if self.tree.holds(self.tree.path[k].node, slot):
                return self.tree.path[k].units
        return 0

    cdef inline void note(self, int64_t uncached) noexcept:
        self.uncached = uncached
        if self.tree.input_units:  # requests without text say nothing about how long prompts are
            self.noted += 1
            self.mean_uncached += (uncached - self.mean_uncached) / (self.noted if self.noted < MEAN_OF else MEAN_OF)

    cdef inline int64_t place(self, int64_t uncached, int64_t slot) noexcept:
        """`slot` is given a prompt that is new to it."""
        self.note(uncached)
        self.clock += 1
        self.placed[slot] = self.clock
        return slot
