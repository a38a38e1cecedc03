"""One answer for many callers: asked for once, shared while under way, repeated for a moment.

Keeps public routes that cost the workers something from being used against them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from smg.core.errors import GatewayError
from smg.core.tasks import TaskGroupOwner
from smg.server.handlers import Response

if TYPE_CHECKING:
    from smg.fleet.clock import Clock


class Memo:
    """`get()` gives the outcome of `ask`, errors included, at most `seconds` old.

    The work is a task of its own: a caller that leaves does not take the answer from the others.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], Awaitable[Response]],
        clock: Clock,
        *,
        seconds: float = 1.0,
    ) -> None:
        self._name = name
        self._ask = ask
        self._clock = clock
        self._seconds = seconds
        self._good_until = 0.0
        self._task: asyncio.Task[Response | GatewayError] | None = None
        self._tasks = TaskGroupOwner("memo")

    async def get(self) -> Response:
        """The shared answer; raises its GatewayError."""
        task = self._task
        if task is None or (task.done() and self._clock.time() >= self._good_until):
            task = self._task = self._tasks.start(self._run(), self._name)
        outcome = await asyncio.shield(task)
        if isinstance(outcome, GatewayError):
            raise outcome.with_traceback(None)
        return outcome

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._tasks.close()
        self._task = None

    async def _run(self) -> Response | GatewayError:
        self._good_until = 0.0
        try:
            outcome: Response | GatewayError = await self._ask()
        except GatewayError as error:
            outcome = error
        self._good_until = self._clock.time() + self._seconds
        return outcome
