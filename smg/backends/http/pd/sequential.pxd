# C types of sequential.py.
from smg.backends.http.pd.pair cimport PairRelay


cdef class SequentialRelay(PairRelay):
    cdef public str _connector, _transfer, _engine
    cdef public bint _unclaimed
