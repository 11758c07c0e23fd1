"""Level of detail: the interval in which a span of time is shown, and the tiles in which its history is read.

Part of the dashboard; pure. Times are whole seconds since the epoch, UTC; spans are half open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86_400

INTERVALS_S: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""Seconds of a bar by the name of its interval. Each interval divides a day, so bars merge exactly."""

MAX_BARS: Final = 2000
"""Upper bound on the bars of one answer: a wide screen has no more columns of pixels."""

LEVELS_S: Final = (60, 900, 14_400)
"""Seconds of a row at each level of detail. The warehouse merges the longer rows, so a year costs what a day does."""

TILE_ROWS: Final = 2880
"""Upper bound on the rows of one tile of history: two days of minutes, 30 of quarters of an hour, 480 of four hours."""

LAST_TIME_S: Final = 4_102_444_800
"""2100-01-01: upper bound on every time in a request."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A piece of one symbol's history: rows of `level_s` seconds each from `start_s` on."""

    symbol: str
    level_s: int
    start_s: int

    @property
    def end_s(self) -> int:
        """Where the next tile starts."""
        return self.start_s + self.level_s * TILE_ROWS

    @property
    def before(self) -> Tile:
        """The tile that ends where this one starts."""
        return Tile(self.symbol, self.level_s, self.start_s - self.level_s * TILE_ROWS)

    @property
    def after(self) -> Tile:
        """The tile that starts where this one ends."""
        return Tile(self.symbol, self.level_s, self.end_s)


def interval_for(span_s: int) -> int:
    """Seconds of the shortest interval in which the span fits into one answer, else of the longest interval."""
    return next((interval_s for interval_s in INTERVALS_S.values() if span_s <= interval_s * MAX_BARS), DAY_S)


def level_for(interval_s: int) -> int:
    """Seconds of the longest level of detail whose rows merge into bars of `interval_s`."""
    return max(level_s for level_s in LEVELS_S if interval_s % level_s == 0)


def tiles(symbol: str, level_s: int, start_s: int, end_s: int) -> list[Tile]:
    """The tiles that hold `start_s` to `end_s`, in order; none for an empty span."""
    width_s = level_s * TILE_ROWS
    first_s = start_s - start_s % width_s
    return [Tile(symbol, level_s, at_s) for at_s in range(first_s, end_s, width_s)] if start_s < end_s else []


def runs(wanted: list[Tile]) -> list[list[Tile]]:
    """The tiles in groups of adjoining ones; one query reads a group."""
    groups: list[list[Tile]] = []
    for tile in sorted(wanted):
        if groups and groups[-1][-1].end_s == tile.start_s and groups[-1][-1].level_s == tile.level_s:
            groups[-1].append(tile)
        else:
            groups.append([tile])
    return groups
