# C types of lane.py.
from smg.backends.http.series cimport BackendSeries, RelaySeries
from smg.workers.group cimport ModelGroup


cdef class Lane:
    cdef public ModelGroup group
    cdef public object policy
    cdef public bint renames, follows, follows_first_byte
    cdef public BackendSeries _all_series
    cdef public dict _plain, _streamed

    cpdef RelaySeries series(self, str endpoint, bint stream)
