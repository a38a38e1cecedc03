"""Elements in a parameter: nested ones are an object, repeated ones an array."""

from __future__ import annotations

from smg._speedups.text_values import member_text, stripped
from smg._speedups.value_scan import MAX_DEPTH
from smg.parsers.coercion import infer_json


class Elements:
    """A parameter that is being read, and all that has been in it."""

    def __init__(self, key: str) -> None:
        self._open = [_Element(key)]
        self._raw: list[str] = []
        self._mixed = False

    def name(self) -> str:
        """Of the innermost that is open."""
        innermost = self._open[-1]
        return innermost.name

    def raw(self) -> str:
        """All that has been read, tags and text."""
        return "".join(self._raw)

    def add_text(self, text: str) -> None:
        """Text, or a tag that means nothing."""
        if text:
            innermost = self._open[-1]
            innermost.text.append(text)
            self._raw.append(text)

    def begin(self, name: str, tag: str) -> bool:
        """An element opens, by that tag; false if it would be too deep."""
        if len(self._open) == MAX_DEPTH:
            return False
        self._raw.append(tag)
        self._open.append(_Element(name))
        return True

    def end(self, tag: str) -> bool:
        """The innermost element closes, by that tag; true if it is the parameter itself."""
        if len(self._open) == 1:
            return True
        self._raw.append(tag)
        self._close()
        return False

    def end_all(self) -> None:
        """All elements in the parameter close."""
        while len(self._open) > 1:
            self._close()

    def _close(self) -> None:
        element = self._open.pop()
        around = self._open[-1]
        if element.members is None:
            value = infer_json(element.raw())
        else:
            self._mixed = self._mixed or element.is_mixed()
            value = element.value(False)
        around.add(element.name, value)

    def value(self, is_array: bool) -> str | None:
        """The parameter's elements as JSON; None if there are none, or text beside them.
        `is_array`: the schema says so, and the names do not count.
        """
        parameter = self._open[0]
        if parameter.members is None or self._mixed or parameter.is_mixed():
            return None
        return parameter.value(is_array)


class _Element:
    """An element that is open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.members: dict[str, str | list[str]] | None = None  # a list: of a name that is repeated

    def add(self, name: str, value: str) -> None:
        """An element in it: JSON."""
        if self.members is None:
            self.members = {name: value}
            return
        before = self.members.get(name)
        if before is None:
            self.members[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            self.members[name] = [before, value]

    def raw(self) -> str:
        """The text in it."""
        return self.text[0] if len(self.text) == 1 else "".join(self.text)

    def is_mixed(self) -> bool:
        """Whether it has text beside its elements: then it is no object."""
        return bool(stripped(self.raw()))

    def value(self, is_array: bool) -> str:
        """The elements in it as JSON: an object, in which a name that is repeated has an array."""
        assert self.members is not None
        if is_array and len(self.members) == 1:
            (items,) = self.members.values()
            return _array(items) if isinstance(items, list) else f"[{items}]"
        written = []
        before = "{"
        for name, items in self.members.items():
            value = _array(items) if isinstance(items, list) else items
            written.append(member_text(before, name, value))
            before = ","
        written.append("}")
        return "".join(written)


def _array(items: list[str]) -> str:
    return f"[{','.join(items)}]"
