from collections.abc import Sequence

from smg._speedups.loads import LoadTable
from smg._speedups.radix import TextTree, TokenTree

HIT: int
SPILL: int
MISS: int
NO_ELIGIBLE_HOLDER: int
BRANCHES: tuple[str, ...]

class Placement:
    tree: TextTree | TokenTree
    loads: LoadTable
    threshold: float
    balance_abs: float
    balance_rel: float
    branch: int
    ratio: float
    mean_uncached: float
    count: int
    uncached: int
    def __init__(
        self,
        tree: TextTree | TokenTree,
        loads: LoadTable,
        threshold: float,
        balance_abs: float,
        balance_rel: float,
    ) -> None: ...
    def prepare(self, slots: Sequence[int]) -> None: ...
    def forget(self, slot: int) -> None: ...
    def answered(self, slot: int, uncached: int) -> None: ...
    def choose(self, prompt: str | Sequence[int]) -> int: ...
    def choose_least(self, prompt: str | Sequence[int]) -> int: ...
