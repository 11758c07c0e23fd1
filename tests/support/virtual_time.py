"""An asyncio event loop in virtual time: a sleep takes no time, and the loop's clock advances by it.

Only what waits by the loop's own timers can run in it: no sockets, no threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Instant(selectors.SelectSelector):
    """A selector that returns at once, and adds the time that it would have waited to `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits for another one, and no timer is set")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock begins at 0 and jumps to the next timer when nothing else is to do."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._instant.now


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine, which runs in a new loop in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
