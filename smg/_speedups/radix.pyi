from array import array
from collections.abc import Sequence

from smg._speedups.radix_core import Tree

class TextTree(Tree[str]):
    def __init__(self, max_size: int, *, max_attachments: int | None = None) -> None: ...

class TokenTree(Tree[Sequence[int] | array[int] | memoryview]):
    def __init__(
        self, max_size: int, page: int = 16, *, max_attachments: int | None = None
    ) -> None: ...
