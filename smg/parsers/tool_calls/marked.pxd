# C types of marked.py: its generators call the engine directly.
from smg.parsers.tool_calls.sections cimport SectionParser


cdef class MarkedCalls(SectionParser):
    pass
