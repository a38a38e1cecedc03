# C types of inkling.py: its generators call the engine directly.
from smg._speedups.text_scan cimport Markers
from smg.parsers.tool_calls.json_calls cimport JsonCalls

cdef Markers _FRAME_ENDS


cdef class Inkling(JsonCalls):
    pass
