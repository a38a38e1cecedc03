"""Picks a worker for a request; one file per policy, no I/O.

What is imported here is the interface for policies of other packages: docs/guide/policies.md.
"""

from __future__ import annotations

from smg.policies.base import Policy, PolicyContext, RoutingView

__all__ = ["Policy", "PolicyContext", "RoutingView"]
