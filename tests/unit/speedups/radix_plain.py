"""What the routing trees do, said as plainly as possible: strings or tuples, lists, no cleverness.

The oracle of tests/property/test_radix.py. Every operation may look at everything.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any


class Node:
    def __init__(self, label: Any, parent: Node | None) -> None:
        self.label = label
        self.parent = parent
        self.children: list[Node] = []
        self.tenants: set[int] = set()

    def whole(self) -> Any:
        """The labels from the root down to here."""
        return self.parent.whole() + self.label if self.parent else self.label


def common(a: Sequence[Any], b: Sequence[Any], page: int) -> int:
    """How many elements two sequences share from the start, in whole pages."""
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count // page * page


def encoded(label: Any) -> bytes:
    """As the trees keep it."""
    if isinstance(label, str):
        return label.encode("utf-8", "surrogatepass")
    return array("I", label).tobytes()


class PlainTree:
    """`empty` is "" or (); `page` 1 for text. The same operations as TextTree and TokenTree."""

    def __init__(
        self,
        max_size: int,
        *,
        empty: Any = "",
        page: int = 1,
        max_attachments: int = 1 << 16,
        piece: int = 16380,
    ) -> None:
        self.max_size = max_size
        self.max_attachments = max_attachments
        self.page = page
        self.piece = piece
        self.root = Node(empty, None)
        self.used: list[tuple[Node, int]] = []  # (node, tenant), used longest ago first

    def walk(self, rest: Any) -> Iterator[tuple[Node, int]]:
        """Each node on the path, and how much of its label is matched."""
        node = self.root
        while True:
            for child in node.children:
                shared = common(child.label, rest, self.page)
                if shared:
                    break
            else:
                return
            yield child, shared
            if shared < len(child.label):
                return
            node, rest = child, rest[shared:]

    def cut(self, given: Any) -> Any:
        length = min(len(given), self.max_size)
        return given[: length // self.page * self.page]

    def match(self, given: Any) -> list[tuple[int, list[int]]]:
        found = []
        units = 0
        for node, shared in self.walk(self.cut(given)):
            units += shared
            found.append((units, sorted(node.tenants)))
        return found

    def insert(self, given: Any, tenant: int) -> None:
        rest = self.cut(given)
        path = []
        for node, shared in list(self.walk(rest)):
            path.append(node if shared == len(node.label) else self.split(node, shared))
            rest = rest[shared:]
        for node in path:
            if tenant in node.tenants:
                self.used.remove((node, tenant))
            node.tenants.add(tenant)
        while rest:
            above = path[-1] if path else self.root
            size = self.first_piece(rest)
            path.append(Node(rest[:size], above))
            rest = rest[size:]
            above.children.append(path[-1])
            path[-1].tenants.add(tenant)
        self.used += [(node, tenant) for node in reversed(path)]
        self.evict()

    def first_piece(self, rest: Any) -> int:
        """How much of it goes into one node: `piece` bytes at most, whole characters or pages."""
        size = self.page
        while size < len(rest) and len(encoded(rest[: size + self.page])) <= self.piece:
            size += self.page
        return size

    def split(self, node: Node, at: int) -> Node:
        """A new node with the first part of the label, held by the same, used as lately."""
        assert node.parent
        upper = Node(node.label[:at], node.parent)
        upper.tenants = set(node.tenants)
        upper.children = [node]
        node.parent.children.remove(node)
        node.parent.children.append(upper)
        node.parent = upper
        node.label = node.label[at:]
        for tenant in upper.tenants:
            self.used.insert(self.used.index((node, tenant)) + 1, (upper, tenant))
        return upper

    def evict(self) -> None:
        while self.total > self.max_size or len(self.used) > self.max_attachments:
            self.detach(*self.used[0])

    def detach(self, node: Node, tenant: int) -> None:
        self.used.remove((node, tenant))
        node.tenants.remove(tenant)
        if not node.tenants:
            assert not node.children
            assert node.parent
            node.parent.children.remove(node)

    def remove(self, tenant: int) -> None:
        for entry in list(self.used):  # children are older than their parents
            if entry[1] == tenant:
                self.detach(*entry)

    def size(self, tenant: int) -> int:
        return sum(len(node.label) for node, holder in self.used if holder == tenant)

    @property
    def total(self) -> int:
        return sum(len(node.label) for node, _ in self.used)

    @property
    def attachments(self) -> int:
        return len(self.used)

    @property
    def nodes(self) -> int:
        return len({id(node) for node, _ in self.used})

    def tenants(self) -> list[int]:
        return sorted({tenant for _, tenant in self.used})

    def order(self) -> list[tuple[bytes, int]]:
        """What would be evicted, first to last."""
        return [(encoded(node.whole()), tenant) for node, tenant in self.used]
