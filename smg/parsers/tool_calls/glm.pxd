# C types of glm.py.
from smg._speedups.text_values cimport quoted
from smg.parsers.tool_calls.parameters cimport ParameterCalls


cdef class GlmCalls(ParameterCalls):
    pass
