"""The states of a symbol-day, and the rules that choose the days to fetch and the days of a batch.

Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bitcoin_pipeline.errors import FinalError
from bitcoin_pipeline.symbols import parse_symbol
from bitcoin_pipeline.times import days, parse_day


class FetchStatus(StrEnum):
    """An answer of `fetch_archive` for a symbol and a day."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    NOT_PUBLISHED = "not_published"
    NO_TRADES = "no_trades"
    UNKNOWN_SYMBOL = "unknown_symbol"
    CORRUPT = "corrupt"

    @property
    def landed(self) -> bool:
        """True when the raw file is in the lake for the batch to read, which fails a corrupt one with its reason."""
        return self in (FetchStatus.STORED, FetchStatus.UNCHANGED, FetchStatus.CORRUPT)


class IngestStatus(StrEnum):
    """The state of a symbol-day in the `ingests` table."""

    LOADED = "loaded"
    NO_TRADES = "no_trades"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """True when the day needs no further batch."""
        return self is not IngestStatus.FAILED


NO_TRADES_AFTER: Final = dt.timedelta(days=3)
"""Time after the end of a day from which an absent file means a day without trades (Bybit publishes within a day)."""


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
    """The days from `start` to `end`, both included, that `ingests` (`known`) lacks or has as failed."""
    wanted = (SymbolDay(symbol, day) for day in days(start, end))
    return [item for item in wanted if item not in known or not known[item].settled]


def absent_status(day: dt.date, today: dt.date) -> FetchStatus:
    """The status on `today` (UTC) of a `day` for which the archive has no file."""
    since_day_ended = today - day - dt.timedelta(days=1)
    return FetchStatus.NO_TRADES if since_day_ended >= NO_TRADES_AFTER else FetchStatus.NOT_PUBLISHED


class UnknownSymbolError(FinalError):
    """The exchange's archive has no folder of the symbol."""


@dataclass(frozen=True, slots=True)
class BatchDays:
    """The fetched days as a batch gets them, each tuple in order.

    `load`: days whose raw files the batch reads. `no_trades`: days that it records as such. `not_published`: days that
    it does not get; without a row in `ingests`, they are planned again.
    """

    load: tuple[SymbolDay, ...]
    no_trades: tuple[SymbolDay, ...]
    not_published: tuple[SymbolDay, ...]

    @property
    def needs_batch(self) -> bool:
        """True when there is a day to load or to record."""
        return bool(self.load or self.no_trades)


def batch_days(fetched: Mapping[SymbolDay, FetchStatus]) -> BatchDays:
    """What a batch does with days, by the answers of `fetch_archive`.

    Raises UnknownSymbolError when one of them is `unknown_symbol`.
    """
    unknown = sorted({item.symbol for item, status in fetched.items() if status is FetchStatus.UNKNOWN_SYMBOL})
    if unknown:
        raise UnknownSymbolError(f"the exchange's archive has no symbol {', '.join(unknown)}")

    def of(*statuses: FetchStatus) -> tuple[SymbolDay, ...]:
        return tuple(sorted(item for item, status in fetched.items() if status in statuses))

    landed = (status for status in FetchStatus if status.landed)
    return BatchDays(of(*landed), of(FetchStatus.NO_TRADES), of(FetchStatus.NOT_PUBLISHED))


def in_batches(items: Iterable[SymbolDay], size: int) -> list[list[SymbolDay]]:
    """`items` in runs of at most `size`, in their order."""
    ordered = list(items)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
