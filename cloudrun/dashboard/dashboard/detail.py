"""Level of detail: which interval a span of time is shown in, and in which pieces history is fetched for it.

Part of the dashboard; pure. Times are whole seconds since the epoch, UTC; spans are half open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60
DAY: Final = 86_400

INTERVALS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""What a bar may last; each divides the next one's pieces, so bars merge exactly."""

MAX_BARS: Final = 2000
"""Of one answer: a wide screen has as many pixels, so more would not be seen."""

LEVELS: Final = (60, 900, 14_400)
"""What history is fetched in; the longer ones are merged by the warehouse, so a year costs what a day does."""

TILE_ROWS: Final = 2880
"""Rows of one tile of history at most: two days of minutes, thirty of quarters, 480 of four hours."""

SEARCH_END: Final = 4_102_444_800
"""2100-01-01: no time beyond it is asked for."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A piece of one symbol's history: `rows` of `level` seconds each from `start` on."""

    symbol: str
    level: int
    start: int

    @property
    def end(self) -> int:
        """Where the next tile starts."""
        return self.start + self.level * TILE_ROWS

    @property
    def before(self) -> Tile:
        """The tile that ends where this one starts."""
        return Tile(self.symbol, self.level, self.start - self.level * TILE_ROWS)


def interval_for(span: int) -> int:
    """The shortest interval in which `span` seconds fit an answer, else the longest there is."""
    return next((seconds for seconds in INTERVALS.values() if span <= seconds * MAX_BARS), DAY)


def level_for(interval: int) -> int:
    """The longest level whose rows merge into bars of `interval`."""
    return max(level for level in LEVELS if interval % level == 0)


def tiles(symbol: str, level: int, start: int, end: int) -> list[Tile]:
    """The tiles that hold `start` to `end`, in order; none for an empty span."""
    width = level * TILE_ROWS
    first = start - start % width
    return [Tile(symbol, level, at) for at in range(first, end, width)] if start < end else []


def runs(wanted: list[Tile]) -> list[list[Tile]]:
    """The tiles in groups that adjoin each other, so that one question fetches a group."""
    groups: list[list[Tile]] = []
    for tile in sorted(wanted):
        if groups and groups[-1][-1].end == tile.start and groups[-1][-1].level == tile.level:
            groups[-1].append(tile)
        else:
            groups.append([tile])
    return groups
