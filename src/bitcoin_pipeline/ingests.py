"""The states of a symbol-day, and which days are still to be loaded.

Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import days, parse_day


class FetchStatus(StrEnum):
    """The statuses in an answer of `fetch_archive`."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    NOT_PUBLISHED = "not_published"
    NO_TRADES = "no_trades"
    UNKNOWN_SYMBOL = "unknown_symbol"
    CORRUPT = "corrupt"

    @property
    def landed(self) -> bool:
        """True when the raw file is in the lake for the batch, which fails a corrupt one with its reason."""
        return self in (FetchStatus.STORED, FetchStatus.UNCHANGED, FetchStatus.CORRUPT)


class IngestStatus(StrEnum):
    """The state of a symbol-day in the `ingests` table."""

    LOADED = "loaded"
    NO_TRADES = "no_trades"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """True when the planner skips this day."""
        return self is not IngestStatus.FAILED


NO_TRADES_AFTER: Final = dt.timedelta(days=3)
"""A file still absent this long after its day ended means a day without trades (Bybit publishes within a day)."""


@dataclass(frozen=True, slots=True, order=True)
class SymbolDay:
    """One symbol on one UTC day: the subject of a file, of a Spark task and of a row of `ingests`."""

    symbol: str
    day: dt.date

    def __str__(self) -> str:
        return f"{self.symbol}:{self.day.isoformat()}"


def parse_symbol_day(text: str) -> SymbolDay:
    """The inverse of `str`: `BTCUSDT:2020-03-25`. Raises ValueError for anything else."""
    symbol, colon, day = text.partition(":")
    if not colon:
        raise ValueError(f"a symbol-day is written SYMBOL:YYYY-MM-DD, got {text!r}")
    return SymbolDay(parse_symbol(symbol), parse_day(day))


def missing_days(symbol: str, start: dt.date, end: dt.date, known: Mapping[SymbolDay, IngestStatus]) -> list[SymbolDay]:
    """The days from `start` to `end`, both included, that `known` lacks or holds as failed."""
    wanted = (SymbolDay(symbol, day) for day in days(start, end))
    return [item for item in wanted if item not in known or not known[item].settled]


def absent_status(day: dt.date, today: dt.date) -> FetchStatus:
    """The status of a `day` for which the archive has no file on `today` (UTC)."""
    since_day_ended = today - day - dt.timedelta(days=1)
    return FetchStatus.NO_TRADES if since_day_ended >= NO_TRADES_AFTER else FetchStatus.NOT_PUBLISHED


def in_batches(items: Iterable[SymbolDay], size: int) -> list[list[SymbolDay]]:
    """`items` in runs of at most `size`, in their order."""
    ordered = list(items)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
