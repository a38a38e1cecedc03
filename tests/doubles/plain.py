"""SMG_PLAIN=1: the modules that are compiled with C types are loaded from their Python source
instead.

The same tests then show that both builds behave alike.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import pathlib
import sys
from collections.abc import Sequence
from types import ModuleType

from smg._speedups import TYPED

ROOT = pathlib.Path(__file__).resolve().parents[2]


class PlainFinder(importlib.abc.MetaPathFinder):
    """Finds the `.py` of a typed module before the extension beside it is found."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The source's spec, for typed modules only."""
        if name not in TYPED:
            return None
        source = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        return importlib.util.spec_from_file_location(name, source)


def install() -> None:
    """From now on; typed modules must not have been imported."""
    loaded = [name for name in TYPED if name in sys.modules]
    if loaded:
        raise RuntimeError(f"imported too early: {loaded}")
    sys.meta_path.insert(0, PlainFinder())
