"""What a policy is and what it may look at.

A policy decides without I/O and holds its state in itself. One instance serves one model. It is
asked on the request path: no allocation that can be avoided, no logging. Rules: routing-reliability
3 and 4.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg.config.settings import RouterConfig
    from smg.workers import Worker


class RoutingView(Protocol):
    """The request as a policy sees it; everything costly is computed when asked for."""

    model: str
    headers: list[tuple[bytes, bytes]]

    def text(self) -> str:
        """The prompt, flattened for routing; empty if there is none."""
        ...

    def tokens(self) -> Sequence[int] | None:
        """Token ids, if the request brings them."""
        ...

    def routing_key(self) -> bytes | None:
        """The value of the first usable routing-key header."""
        ...


class Policy(abc.ABC):
    """Picks one of the available workers.

    `needs_text` and `needs_loads` tell callers what to prepare; they never test for a class.
    """

    name: ClassVar[str]
    needs_text: ClassVar[bool] = False
    needs_loads: ClassVar[bool] = False

    @classmethod
    def from_config(cls, config: RouterConfig) -> Self:
        """An instance with the operator's parameters."""
        return cls()

    @abc.abstractmethod
    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """One of `workers` (available, in registration order); None: nobody may serve this."""

    def worker_removed(self, worker: Worker) -> None:  # noqa: B027 - most policies keep nothing
        """Forget everything about a worker that no longer serves the model."""
