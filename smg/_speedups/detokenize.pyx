# cython: language_level=3, boundscheck=False, wraparound=False
"""Token ids to text, one call per chunk of an answer, with everything that may end the answer.

Byte-level vocabularies only (others hand in a function, see `StopDecoder`): every id stands for some bytes, the bytes
of an answer are one UTF-8 text, and a character may be spread over several ids. Decoding is therefore exact for any
split of the ids: complete characters come out at once, an incomplete one (three bytes at most) waits, bytes that can
never become a character are U+FFFD at once, one for each maximal part of a character, as in
`bytes.decode(errors="replace")`.

Stop strings are searched in the UTF-8 bytes, which finds the same places as a search in characters. Each has a
Knuth-Morris-Pratt state, so that every byte is looked at once, however long the strings are and however unlucky the
text is. What has to be held back is as long as the furthest state: the longest end of the text that a stop string
begins with. The plain twin that the tests use as oracle is tests/unit/tokenization/detokenize_plain.py.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove, memset

cdef enum:
    GO_ON = 0
    HIDDEN = 1
    VISIBLE = 2


cdef class TokenTable:
    """The bytes of every id of one vocabulary; made once, shared by all streams.

    `pieces[id]` is None for an id that nobody has: it decodes to nothing. `special`: the ids that streams with
    `skip_special` leave out. `size`: ids from 0 on that the table covers.
    """

    cdef bytes blob
    cdef const uint8_t* data
    cdef uint32_t* starts
    cdef uint8_t* special
    cdef readonly Py_ssize_t size

    def __cinit__(self):
        self.starts = NULL
        self.special = NULL

    def __init__(self, pieces, special=()):
        cdef Py_ssize_t i
        cdef uint32_t at = 0
        if self.starts != NULL:
            raise TypeError("a table is filled once")
        self.size = len(pieces)
        self.starts = <uint32_t*> PyMem_Malloc((self.size + 1) * sizeof(uint32_t))
        self.special = <uint8_t*> PyMem_Malloc(self.size + 1)
        if self.starts == NULL or self.special == NULL:
            raise MemoryError
        memset(self.special, 0, self.size + 1)
        self.blob = b"".join([piece for piece in pieces if piece is not None])
        self.data = self.blob
        for i in range(self.size):
            self.starts[i] = at
            piece = pieces[i]
            if piece is not None:
                at += <uint32_t> len(piece)
        self.starts[self.size] = at
        for token in special:
            if 0 <= token < self.size:
                self.special[<Py_ssize_t> token] = 1

    def __dealloc__(self):
        PyMem_Free(self.starts)
        PyMem_Free(self.special)

    def __sizeof__(self):
        return object.__sizeof__(self) + (self.size + 1) * 5 + len(self.blob)


cdef class Stops:
    """What ends an answer; one per request, shared by its choices.

    Ids and strings are either hidden (not part of the answer) or visible. Empty strings are ignored; what is both is
    hidden. `texts`: the stop strings that are left.
    """

    cdef int64_t* ids
    cdef uint8_t* kinds
    cdef Py_ssize_t n_ids
    # Stop string k is the bytes lines[k] to lines[k + 1] of `patterns`; `fails` is the KMP table in the same places.
    cdef bytes blob
    cdef const uint8_t* patterns
    cdef int32_t* fails
    cdef int32_t* lines
    cdef uint8_t* shown
    cdef Py_ssize_t n_texts
    cdef uint8_t first[256]
    cdef readonly tuple texts

    def __cinit__(self):
        self.ids = NULL
        self.kinds = NULL
        self.fails = NULL
        self.lines = NULL
        self.shown = NULL

    def __init__(self, hidden_ids=(), visible_ids=(), hidden_texts=(), visible_texts=()):
        cdef Py_ssize_t i
        if self.ids != NULL:
            raise TypeError("stops are filled once")
        kinds = dict.fromkeys(visible_ids, VISIBLE)
        kinds.update(dict.fromkeys(hidden_ids, HIDDEN))
        ordered = sorted(kinds)
        self.n_ids = len(ordered)
        self.ids = <int64_t*> PyMem_Malloc((self.n_ids + 1) * sizeof(int64_t))
        self.kinds = <uint8_t*> PyMem_Malloc(self.n_ids + 1)
        if self.ids == NULL or self.kinds == NULL:
            raise MemoryError
        for i in range(self.n_ids):
            self.ids[i] = ordered[i]
            self.kinds[i] = kinds[ordered[i]]

        shown = dict.fromkeys([text for text in visible_texts if text], VISIBLE)
        shown.update(dict.fromkeys([text for text in hidden_texts if text], HIDDEN))
        self.texts = tuple(shown)
        # A lone surrogate never comes out of a decoder; encoded like this it just never matches.
        encoded = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        self.blob = b"".join(encoded)
        self.patterns = self.blob
        self.n_texts = len(encoded)
        self.fails = <int32_t*> PyMem_Malloc((len(self.blob) + 1) * sizeof(int32_t))
        self.lines = <int32_t*> PyMem_Malloc((self.n_texts + 1) * sizeof(int32_t))
        self.shown = <uint8_t*> PyMem_Malloc(self.n_texts + 1)
        if self.fails == NULL or self.lines == NULL or self.shown == NULL:
            raise MemoryError
        memset(self.first, 0, 256)
        self.lines[0] = 0
        for i in range(self.n_texts):
            self.lines[i + 1] = self.lines[i] + <int32_t> len(encoded[i])
            self.shown[i] = shown[self.texts[i]] == VISIBLE
            self.first[self.patterns[self.lines[i]]] = 1
            self.link(i)

    def __dealloc__(self):
        PyMem_Free(self.ids)
        PyMem_Free(self.kinds)
        PyMem_Free(self.fails)
        PyMem_Free(self.lines)
        PyMem_Free(self.shown)

    cdef void link(self, Py_ssize_t k) noexcept:
        """Fill the KMP table of stop string k."""
        cdef const uint8_t* pattern = self.patterns + self.lines[k]
        cdef int32_t* fail = self.fails + self.lines[k]
        cdef int32_t size = self.lines[k + 1] - self.lines[k]
        cdef int32_t i, state = 0
        fail[0] = 0
        for i in range(1, size):
            while state > 0 and pattern[i] != pattern[state]:
                state = fail[state - 1]
            if pattern[i] == pattern[state]:
                state += 1
            fail[i] = state

    cdef inline int kind(self, int64_t token) noexcept:
        cdef Py_ssize_t low = 0, high = self.n_ids, middle
        while low < high:
            middle = (low + high) // 2
            if self.ids[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < self.n_ids and self.ids[low] == token:
            return self.kinds[low]
        return GO_ON


cdef class StopDecoder:
    """Decodes one choice of an answer until something stops it.

    `table` is None for vocabularies that are not byte-level; then `step(id) -> str` decodes and `finish() -> str`
    gives what it still has at the end of the stream. `skip_special` is about the table only.

    `stopped`: an id or a string of `stops` has come; what is fed from then on is ignored. `matched`: the stop string,
    None for ids. `taken`: ids that were looked at, the stopping one included.
    """

    cdef TokenTable table
    cdef Stops stops
    cdef object step
    cdef object finish
    cdef bint skip_special
    # Whole characters that were not given out yet.
    cdef uint8_t* text
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    # The character that is not complete: `need` more bytes, the next of them from `low` to `high`.
    cdef uint8_t tail[4]
    cdef int tail_size
    cdef int need
    cdef uint8_t low
    cdef uint8_t high
    cdef int32_t* states
    cdef int32_t furthest
    cdef readonly bint stopped
    cdef readonly object matched
    cdef readonly Py_ssize_t taken

    def __cinit__(self):
        self.text = NULL
        self.states = NULL

    def __init__(self, TokenTable table, Stops stops not None, bint skip_special=True, step=None, finish=None):
        if self.text != NULL:
            raise TypeError("one decoder per choice")
        if table is None and step is None:
            raise TypeError("neither a table nor a function to decode with")
        self.table = table
        self.stops = stops
        self.skip_special = skip_special
        self.step = step
        self.finish = finish
        self.room = 64
        self.text = <uint8_t*> PyMem_Malloc(self.room)
        self.states = <int32_t*> PyMem_Malloc((stops.n_texts + 1) * sizeof(int32_t))
        if self.text == NULL or self.states == NULL:
            raise MemoryError
        memset(self.states, 0, (stops.n_texts + 1) * sizeof(int32_t))
        self.furthest = 0
        self.size = 0
        self.tail_size = 0
        self.need = 0
        self.stopped = False
        self.matched = None
        self.taken = 0

    def __dealloc__(self):
        PyMem_Free(self.text)
        PyMem_Free(self.states)

    @property
    def held(self):
        """Bytes of text that wait because a stop string may be coming; an incomplete character is not counted."""
        return self.size

    def feed(self, ids):
        """The text that these ids add and that cannot be part of a stop string any more."""
        cdef int64_t token
        cdef int kind
        cdef Py_ssize_t before
        if self.stopped:
            return ""
        for item in ids:
            token = item
            self.taken += 1
            kind = self.stops.kind(token)
            if kind != GO_ON:
                if kind == VISIBLE:
                    self.add_token(token)
                self.end()
                self.stopped = True
                return self.take(self.size)
            before = self.size
            self.add_token(token)
            if self.stops.n_texts and self.size > before and self.search(before):
                self.stopped = True
                return self.take(self.size)
        return self.take(self.size - self.furthest)

    def flush(self):
        """The stream has ended: the text that was held back. An incomplete character is one U+FFFD."""
        if self.stopped:
            return ""
        self.end()
        return self.take(self.size)

    cdef int end(self) except -1:
        if self.finish is not None:
            self.add_text(self.finish())
        if self.need:
            self.reserve(3)
            self.replace()
        memset(self.states, 0, (self.stops.n_texts + 1) * sizeof(int32_t))
        self.furthest = 0
        return 0

    cdef inline int add_token(self, int64_t token) except -1:
        cdef TokenTable table = self.table
        if table is None:
            self.add_text(self.step(token))
            return 0
        if token < 0 or token >= table.size or (self.skip_special and table.special[token]):
            return 0
        return self.add(table.data + table.starts[token], table.starts[token + 1] - table.starts[token])

    cdef int add_text(self, str text) except -1:
        cdef bytes encoded
        if text:
            encoded = text.encode("utf-8", "replace")
            self.add(encoded, len(encoded))
        return 0

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef uint8_t* grown
        if self.size + more > self.room:
            self.room = (self.size + more) * 2
            grown = <uint8_t*> PyMem_Realloc(self.text, self.room)
            if grown == NULL:
                raise MemoryError
            self.text = grown
        return 0

    cdef inline void replace(self) noexcept:
        """U+FFFD in place of the incomplete character, or of a byte that begins none."""
        self.text[self.size] = 0xEF
        self.text[self.size + 1] = 0xBF
        self.text[self.size + 2] = 0xBD
        self.size += 3
        self.tail_size = 0
        self.need = 0

    cdef int add(self, const uint8_t* data, Py_ssize_t n) except -1:
        """Append bytes of the answer; only whole characters reach `text`."""
        cdef Py_ssize_t i = 0
        cdef uint8_t c
        # Every byte may become a U+FFFD, and the character that waits one more.
        self.reserve(n * 3 + 4)
        while i < n:
            c = data[i]
            if self.need:
                if c < self.low or c > self.high:
                    self.replace()
                    continue
                self.tail[self.tail_size] = c
                self.tail_size += 1
                self.need -= 1
                self.low = 0x80
                self.high = 0xBF
                if self.need == 0:
                    memcpy(self.text + self.size, self.tail, self.tail_size)
                    self.size += self.tail_size
                    self.tail_size = 0
            elif c < 0x80:
                self.text[self.size] = c
                self.size += 1
            elif c < 0xC2 or c > 0xF4:
                self.replace()
            else:
                self.tail[0] = c
                self.tail_size = 1
                self.need = 1 if c < 0xE0 else 2 if c < 0xF0 else 3
                self.low = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80
                self.high = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF
            i += 1
        return 0

    cdef bint search(self, Py_ssize_t at) except -1:
        """Look for stop strings in what was appended from `at` on. Leftmost wins, at one place the longest.

        True: `text` now ends where the answer ends.
        """
        cdef Stops stops = self.stops
        cdef const uint8_t* pattern
        cdef const int32_t* fail
        cdef Py_ssize_t k, start, best = -1, best_start = 0, best_size = 0
        cdef int32_t state, size, furthest = self.furthest
        cdef uint8_t c
        while at < self.size:
            c = self.text[at]
            at += 1
            if furthest == 0 and not stops.first[c]:
                continue
            furthest = 0
            for k in range(stops.n_texts):
                pattern = stops.patterns + stops.lines[k]
                fail = stops.fails + stops.lines[k]
                size = stops.lines[k + 1] - stops.lines[k]
                state = self.states[k]
                while state > 0 and pattern[state] != c:
                    state = fail[state - 1]
                if pattern[state] == c:
                    state += 1
                if state == size:
                    start = at - size
                    if best < 0 or start < best_start or (start == best_start and size > best_size):
                        best, best_start, best_size = k, start, size
                    state = fail[state - 1]
                self.states[k] = state
                if state > furthest:
                    furthest = state
        self.furthest = furthest
        if best < 0:
            return False
        self.matched = stops.texts[best]
        self.size = best_start + best_size if stops.shown[best] else best_start
        return True

    cdef str take(self, Py_ssize_t n):
        """Give out the first n bytes of `text`."""
        cdef str out
        if n == 0:
            return ""
        out = PyUnicode_DecodeUTF8(<char*> self.text, n, NULL)
        self.size -= n
        if self.size:
            memmove(self.text, self.text + n, self.size)
        elif self.room > 65536:
            self.room = 64
            PyMem_Free(self.text)
            self.text = <uint8_t*> PyMem_Malloc(self.room)
            if self.text == NULL:
                self.room = 0
                raise MemoryError
        return out
