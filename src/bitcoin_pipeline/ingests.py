"""The states of a symbol-day, and the rules that choose the days to fetch and what happens to fetched days.

Part of the core; any module may import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bitcoin_pipeline import names
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


INGESTS_BETWEEN: Final = f"""
SELECT * FROM `{names.INGESTS}`
WHERE symbol IN UNNEST(@symbols) AND date BETWEEN @start AND @end
ORDER BY symbol, date
"""  # noqa: S608  # the names are our own, the values bound
"""Query of the rows of `ingests`, with parameters for symbols and for the first and the last day."""

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


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of `fetch_archive`; the digest, ETag and generation are those of the raw file, empty without one."""

    status: FetchStatus
    sha256: str = ""
    etag: str = ""
    generation: str = ""

    @property
    def version(self) -> str:
        """Text that differs between two contents of a day's raw file; empty for a day without one."""
        return self.sha256 or self.etag or self.generation


def parse_fetched(answer: Mapping[str, Any]) -> Fetched:
    """The JSON object of a successful answer of `fetch_archive`. Raises ValueError when it has no known status."""
    version = (str(answer.get(name) or "") for name in ("sha256", "etag", "generation"))
    return Fetched(FetchStatus(answer.get("status", "")), *version)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The part of a row of `ingests` that planning needs; an empty text stands for NULL.

    `unfinished`: the lake may have other objects of the day than the row describes, since its batch has not ended, or
    was killed.
    """

    status: IngestStatus
    sha256: str = ""
    etag: str = ""
    batch_id: str = ""
    unfinished: bool = False

    @property
    def settled(self) -> bool:
        """True when the day needs no further batch."""
        return self.status.settled and not self.unfinished

    def covers(self, fetched: Fetched) -> bool:
        """True when the batch has read the same file, or has recorded a day without a file that still has none.

        Another batch would give the same result. A row without the version of a file, such as of a day whose raw object
        was absent, covers no file, nor does a row that is unfinished.
        """
        if self.unfinished:
            return False
        if fetched.status is FetchStatus.NO_TRADES and self.status is IngestStatus.NO_TRADES:
            return True
        if not fetched.status.landed:
            return False
        if self.sha256 and fetched.sha256:
            return self.sha256 == fetched.sha256
        return bool(self.etag) and self.etag == fetched.etag


@dataclass(frozen=True, slots=True)
class Ingest:
    """The outcome of one symbol-day, as the batch recorded it; the counts are 0 unless its file could be read."""

    item: SymbolDay
    recorded: Recorded
    reason: str
    row_count: int
    duplicates: int
    quarantined: int
    zero_size_rows: int

    @property
    def status(self) -> IngestStatus:
        """The state of the day."""
        return self.recorded.status

    @property
    def trades(self) -> int:
        """Number of trades that the day has in the lake."""
        return self.row_count - self.duplicates - self.quarantined - self.zero_size_rows


def parse_ingest(row: Mapping[str, Any]) -> Ingest:
    """A row of the table `ingests`."""
    return Ingest(
        SymbolDay(row["symbol"], row["date"]),
        Recorded(
            IngestStatus(row["status"]),
            row["sha256"] or "",
            row["etag"] or "",
            row["batch_id"],
            unfinished=bool(row["unfinished"]),
        ),
        row["reason"] or "",
        row["row_count"] or 0,
        row["duplicates"] or 0,
        row["quarantined"] or 0,
        row["zero_size_rows"] or 0,
    )


def missing_days(symbol: str, start: dt.date, end: dt.date, known: Mapping[SymbolDay, Recorded]) -> list[SymbolDay]:
    """The days from `start` to `end`, both included, that `ingests` (`known`) lacks or has as failed or unfinished."""
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
    """Fetched days by what happens to them, each tuple in order.

    `load`: days whose raw files the batch reads. `no_trades`: days that it records as such. The batch does not get the
    others. `not_published`: without a row in `ingests`, they are planned again. `unchanged`: their rows stay as they
    are. `still_failed`: they failed before, and their files are the same.
    """

    load: tuple[SymbolDay, ...] = ()
    no_trades: tuple[SymbolDay, ...] = ()
    not_published: tuple[SymbolDay, ...] = ()
    unchanged: tuple[SymbolDay, ...] = ()
    still_failed: tuple[SymbolDay, ...] = ()

    @property
    def of_batch(self) -> tuple[SymbolDay, ...]:
        """The days that the batch gets."""
        return self.load + self.no_trades


def batch_days(
    fetched: Mapping[SymbolDay, Fetched], known: Mapping[SymbolDay, Recorded], *, again: bool = False
) -> BatchDays:
    """What happens to days, by the answers of `fetch_archive` and the rows of `ingests` (`known`).

    A day whose file is the one of its row is not computed again, unless it failed and `again` is set. Raises
    UnknownSymbolError when an answer is `unknown_symbol`.
    """
    unknown = sorted({item.symbol for item, answer in fetched.items() if answer.status is FetchStatus.UNKNOWN_SYMBOL})
    if unknown:
        raise UnknownSymbolError(f"the exchange's archive has no symbol {', '.join(unknown)}")
    covered = {item for item, answer in fetched.items() if item in known and known[item].covers(answer)}
    failed = {item for item in covered if not known[item].status.settled}
    done = covered - failed if again else covered

    def of(*statuses: FetchStatus) -> tuple[SymbolDay, ...]:
        return tuple(sorted(item for item in fetched.keys() - done if fetched[item].status in statuses))

    return BatchDays(
        load=of(*(status for status in FetchStatus if status.landed)),
        no_trades=of(FetchStatus.NO_TRADES),
        not_published=of(FetchStatus.NOT_PUBLISHED),
        unchanged=tuple(sorted(done - failed)),
        still_failed=tuple(sorted(done & failed)),
    )
