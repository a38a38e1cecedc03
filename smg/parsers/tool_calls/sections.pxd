# C types of sections.py. No attributes of its own: formats inherit from this and from another class that has some.
from smg.parsers.tool_calls.base cimport BlockParser


cdef class SectionParser(BlockParser):
    pass
