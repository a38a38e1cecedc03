# C types of protocol.py.
cimport cython

from smg._speedups.request_head cimport query_mark
from smg.core.deadlines cimport DeadlineQueue
from smg.server.exchange cimport Exchange
from smg.server.state cimport ServerState


cdef class ClientConnection:
    cdef public ServerState server
    cdef public DeadlineQueue _queue
    cdef public object settings, transport, write, _parser, _ready, _upgrading
    cdef public bint _closing, _paused, _discard, _reading_paused, _in_head
    cdef public bytes _target
    cdef public list _headers, _chunks, _stash
    cdef public Exchange _reading, _exchange, _continue_for
    cdef public long long _body_bytes, _head_bytes, _stash_bytes, _wire_bytes

    cdef object _hold(self, data)

    @cython.locals(before=cython.longlong)
    cpdef object _feed(self, data)
    cdef object _start(self, Exchange exchange)
    cpdef object exchange_done(self, Exchange exchange)
    cdef object _watch(self, DeadlineQueue queue)
