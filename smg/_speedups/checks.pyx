# cython: language_level=3, boundscheck=False, wraparound=False
"""Quick acceptance of the usual chat body, so that only unusual ones pay for the full rules.

`plain_chat(data)` is True only for bodies that `smg.protocols.chat` would accept without a change; False says nothing:
the full check follows and makes the error. A property test holds the two together.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.ref cimport PyObject

cdef enum Kind:
    MODEL = 1
    MESSAGES
    FLAG          # a boolean
    COUNT         # an integer of at least 1
    UNIT_RANGE    # 0 < x <= 1
    TEMPERATURE   # 0 <= x <= 2
    PENALTY       # -2 <= x <= 2
    UNUSUAL       # has rules of its own: not for the quick way

cdef dict KINDS = {
    "model": MODEL,
    "messages": MESSAGES,
    "stream": FLAG,
    "logprobs": FLAG,
    "max_tokens": COUNT,
    "max_completion_tokens": COUNT,
    "n": COUNT,
    "top_p": UNIT_RANGE,
    "temperature": TEMPERATURE,
    "frequency_penalty": PENALTY,
    "presence_penalty": PENALTY,
}
# Every other field that has a rule or changes the body.
for _name in (
    "stop", "stream_options", "logit_bias", "top_logprobs", "response_format", "reasoning_effort",
    "tools", "tool_choice", "functions", "function_call", "min_tokens", "regex", "ebnf",
):
    KINDS[_name] = UNUSUAL


cdef bint plain_messages(object value) except -1:
    """A non-empty list of objects, each with a string `role` and a string `content`."""
    cdef list messages
    cdef object message
    cdef PyObject* part
    if type(value) is not list:
        return False
    messages = <list>value
    if not messages:
        return False
    for message in messages:
        if type(message) is not dict:
            return False
        part = PyDict_GetItem(message, "role")
        if part == NULL or type(<object>part) is not str:
            return False
        part = PyDict_GetItem(message, "content")
        if part == NULL or type(<object>part) is not str:
            return False
    return True


cdef bint number(object value, double* out) except -1:
    """Whether `value` is an int or a float, not a bool; its size goes to `out`."""
    if type(value) is float:
        out[0] = <double>value
        return True
    if type(value) is int:
        if value > 1000000000 or value < -1000000000:
            return False
        out[0] = <double>value
        return True
    return False


def plain_chat(dict data not None) -> bool:
    """See the module."""
    cdef PyObject* key
    cdef PyObject* value
    cdef PyObject* known
    cdef Py_ssize_t at = 0
    cdef int kind
    cdef double x = 0
    cdef bint model = False, messages = False
    cdef object item
    while PyDict_Next(data, &at, &key, &value):
        known = PyDict_GetItem(KINDS, <object>key)
        if known == NULL:
            continue
        kind = <object>known
        item = <object>value
        if kind == MODEL:
            if type(item) is not str:
                return False
            model = True
        elif kind == MESSAGES:
            if not plain_messages(item):
                return False
            messages = True
        elif item is None:
            continue
        elif kind == FLAG:
            if type(item) is not bool:
                return False
        elif kind == COUNT:
            if type(item) is not int or not number(item, &x) or x < 1:
                return False
        elif kind == UNUSUAL:
            return False
        else:
            if not number(item, &x):
                return False
            if kind == UNIT_RANGE and not 0 < x <= 1:
                return False
            if kind == TEMPERATURE and not 0 <= x <= 2:
                return False
            if kind == PENALTY and not -2 <= x <= 2:
                return False
    return model and messages
