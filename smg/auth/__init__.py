"""Who may call: keys, compared in constant time and never logged."""

from __future__ import annotations

from smg.auth.access import Access
from smg.auth.control import Decision, Principal
from smg.auth.keys import SharedKey

__all__ = ["Access", "Decision", "Principal", "SharedKey"]
