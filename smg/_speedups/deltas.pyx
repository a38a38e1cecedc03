# cython: language_level=3
"""What a parser gives. Every token makes one of these, and it is gone with the next: so some are kept for that."""

from cython cimport final, freelist


@final
@freelist(16)
cdef class Content:
    """Text of the answer."""

    __match_args__ = ("text",)

    def __init__(self, str text not None):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Content) and (<Content> other).text == self.text

    def __repr__(self):
        return f"Content({self.text!r})"


@final
@freelist(16)
cdef class Reasoning:
    """Text that the model thought and did not say."""

    __match_args__ = ("text",)

    def __init__(self, str text not None):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Reasoning) and (<Reasoning> other).text == self.text

    def __repr__(self):
        return f"Reasoning({self.text!r})"


@final
@freelist(4)
cdef class CallStart:
    """A tool call is announced: the first delta of a call. `index` counts from 0 without gaps."""

    __match_args__ = ("index", "id", "name")

    def __init__(self, Py_ssize_t index, str id not None, str name not None):
        self.index = index
        self.id = id
        self.name = name

    def __eq__(self, other):
        cdef CallStart start
        if not isinstance(other, CallStart):
            return False
        start = other
        return start.index == self.index and start.id == self.id and start.name == self.name

    def __repr__(self):
        return f"CallStart({self.index}, {self.id!r}, {self.name!r})"

    def openai(self):
        """The item of `delta.tool_calls`."""
        function = {"name": self.name, "arguments": ""}
        return {"index": self.index, "id": self.id, "type": "function", "function": function}


@final
@freelist(16)
cdef class CallArguments:
    """More of the argument text of the call `index`; all of it joined is one JSON value."""

    __match_args__ = ("index", "text")

    def __init__(self, Py_ssize_t index, str text not None):
        self.index = index
        self.text = text

    def __eq__(self, other):
        cdef CallArguments more
        if not isinstance(other, CallArguments):
            return False
        more = other
        return more.index == self.index and more.text == self.text

    def __repr__(self):
        return f"CallArguments({self.index}, {self.text!r})"

    def openai(self):
        """The item of `delta.tool_calls`."""
        return {"index": self.index, "function": {"arguments": self.text}}
