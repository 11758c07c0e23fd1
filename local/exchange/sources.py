"""Where the frames of the played market come from: a recording, or the invented market as it goes on.

Part of the exchange simulator.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from local.exchange.frames import TRADE_TOPIC, Frame, frames_of, read_capture, trade_topic
from local.exchange.invented_live import invented_second


class Source(Protocol):
    """Frames in the order of their time, and the topics of which they can be."""

    @property
    def topics(self) -> frozenset[str]:
        """What can be subscribed to."""
        ...

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """The frames, from the first at or after `from_ms` on."""
        ...


def symbols_of(topics: frozenset[str]) -> list[str]:
    """The symbols whose trades are among `topics`, in order."""
    return sorted(topic.removeprefix(TRADE_TOPIC) for topic in topics if topic.startswith(TRADE_TOPIC))


class Capture:
    """A recording, one frame a line, read as it is played. Raises ValueError for one without a single readable `ts`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        topics: set[str] = set()
        self.first_ms = 0
        for frame in read_capture(path):
            self.first_ms = self.first_ms or frame.time_ms
            topics.add(frame.topic)
        if not self.first_ms:
            raise ValueError(f"a capture holds one websocket frame a line, with its ts, got {path}")
        self.topics: Final = frozenset(topics - {""})

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """Every frame to the letter, the first at or after `from_ms` as all come with it."""
        return read_capture(self._path)


@dataclass(frozen=True, slots=True)
class InventedMarket:
    """An endless market of `symbols`, evenly busy, whose trades follow from the seed and the second alone."""

    symbols: tuple[str, ...]
    trades_per_second: float
    seed: int

    @property
    def topics(self) -> frozenset[str]:
        """One for each symbol's trades."""
        return frozenset(trade_topic(symbol) for symbol in self.symbols)

    def frames(self, from_ms: int) -> Iterator[Frame]:
        """From the first whole second at or after `from_ms` on, without end."""
        second = -(-from_ms // 1000)
        rate = self.trades_per_second / len(self.symbols)
        while True:
            streams = [frames_of(symbol, invented_second(symbol, second, rate, self.seed)) for symbol in self.symbols]
            yield from heapq.merge(*streams, key=lambda frame: frame.time_ms)
            second += 1
