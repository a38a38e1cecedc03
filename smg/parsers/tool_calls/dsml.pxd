# C types of dsml.py: its generator calls the engine directly.
from smg.parsers.coercion cimport json_or_text
from smg.parsers.tool_calls.parameters cimport ParameterCalls


cdef class DsmlCalls(ParameterCalls):
    pass
