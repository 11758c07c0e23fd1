"""Virtual time for the simulation, and the topic.

For tests only. Nothing waits: the world's time is that of the event that happens.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable
from itertools import count
from typing import Final

from tests.support.simulated.judge import Appended

PARTITIONS: Final = 4


class World:
    """Events in the order of their times, and the one source of chance. `now_ms`: of the event that happens."""

    def __init__(self, rng: random.Random, now_ms: int) -> None:
        self.rng: Final = rng
        self.now_ms = now_ms
        self.trace: Final[list[str]] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time_ms: int, event: Callable[[], None]) -> None:
        """Let something happen at a time, or now if that has passed; after what is due at the same time."""
        heapq.heappush(self._events, (max(time_ms, self.now_ms), next(self._numbers), event))

    def after(self, milliseconds: int, event: Callable[[], None]) -> None:
        """Let something happen so much later."""
        self.at(self.now_ms + milliseconds, event)

    def run(self, end_ms: int) -> None:
        """Let everything happen that is due up to `end_ms`."""
        while self._events and self._events[0][0] <= end_ms:
            self.now_ms, _, event = heapq.heappop(self._events)
            event()
        self.now_ms = end_ms

    def note(self, text: str) -> None:
        """Add a line to the trace of the run."""
        self.trace.append(f"{(self.now_ms // 1000) % 3600 // 60:02d}:{self.now_ms % 60_000 / 1000:06.3f} {text}")


class Topic:
    """The partitions of the topic, each with its records in order."""

    def __init__(self, world: World) -> None:
        self.partitions: Final[list[list[Appended]]] = [[] for _ in range(PARTITIONS)]
        self._world = world

    def append(self, partition: int, record: bytes) -> None:
        """Append a record now."""
        self.partitions[partition].append(Appended(self._world.now_ms, record))


def partition_of(symbol: str) -> int:
    """The partition of a symbol's records."""
    return zlib.crc32(symbol.encode()) % PARTITIONS
