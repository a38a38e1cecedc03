# C types of json_calls.py: its generators call the engine directly.
from smg.parsers.tool_calls.base cimport BlockParser


cdef class JsonCalls(BlockParser):
    pass
