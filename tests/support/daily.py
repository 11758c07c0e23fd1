"""The days that the daily schedule is tested with, the same for the DAG and the command, and BigQuery's rows of them.

Every test publishes the files of a case in the archive of a stack of its own, and compares rows with `expected`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.cloud import bigquery

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.times import from_datetime
from tests.support.batch_days import FIVE, file, lines, zipped

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
REVISED: Final = (*FIVE[:3], "60 Sell 0.6 100.5", FIVE[4])
"""The trades of a file that the exchange has revised: one of the second minute has another size."""
YESTERDAY: Final = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


def traded(symbol: str, day: dt.date, trades: tuple[str, ...] = FIVE) -> bytes:
    """A day's file of the archive."""
    return zipped(file(lines(SymbolDay(symbol, day), *trades)))


@dataclass(frozen=True, slots=True)
class DailyCase:
    """A day, its files by symbol, and the symbols' rows of `ingests` after the run: status, and how a reason begins."""

    day: dt.date
    files: Mapping[str, bytes] = field(default_factory=dict)
    rows: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def publish(self, archive: Path) -> None:
        """Put the files into the archive."""
        for symbol, content in self.files.items():
            publish(archive, symbol, self.day, content)

    def check(self, warehouse: bigquery.Client) -> None:
        """Compare the rows of `ingests` and the candles with those that the files give."""
        found = ingests(warehouse, self.day, self.day)
        assert {symbol: status for (symbol, _), (status, _) in found.items()} == {
            symbol: status for symbol, (status, _) in self.rows.items()
        }
        for (symbol, _), (_, reason) in found.items():
            assert reason.startswith(self.rows[symbol][1]), reason
        loaded = [SymbolDay(symbol, self.day) for symbol, (status, _) in self.rows.items() if status == "loaded"]
        assert candles(warehouse, self.day, self.day) == expected(loaded)


def _good(day: dt.date) -> DailyCase:
    files = {symbol: traded(symbol, day) for symbol in SYMBOLS}
    return DailyCase(day, files, dict.fromkeys(SYMBOLS, ("loaded", "")))


PUBLISHED: Final = _good(dt.date(2024, 1, 8))
EMPTY: Final = DailyCase(dt.date(2024, 3, 8), rows=dict.fromkeys(SYMBOLS, ("no_trades", "")))
BAD: Final = DailyCase(
    dt.date(2024, 5, 8),
    {"BTCUSDT": traded("BTCUSDT", dt.date(2024, 5, 8))[:60], "ETHUSDT": zipped(b"when;what\n1;2\n")},
    {"BTCUSDT": ("failed", "gzip ends too early, after 60 bytes"), "ETHUSDT": ("failed", "header lacks ")},
)
"""A corrupt file, and one in an unknown form."""
NEVER: Final = DailyCase(YESTERDAY - dt.timedelta(days=2))
"""A day that is absent more than 36 hours after its end, and not so long that it counts as one without trades."""
LATER: Final = _good(YESTERDAY)
"""A day whose files are published after a run has looked for them."""


def publish(archive: Path, symbol: str, day: dt.date, content: bytes) -> SymbolDay:
    """Put a file into the archive in one step, in place of an earlier one."""
    staged = archive / f".{symbol}{day}"
    staged.write_bytes(content)
    staged.replace(archive / archive_file(symbol, day))
    return SymbolDay(symbol, day)


def expected(items: Iterable[SymbolDay], trades: tuple[str, ...] = FIVE) -> list[tuple[Any, ...]]:
    """The rows of `candles` that the core computes from files of these trades."""
    rows = []
    for item in items:
        for each in minute_candles(read_day(lines(item, *trades), item.symbol, item.day).trades, Source.ARCHIVE):
            amounts = (each.open, each.high, each.low, each.close, each.volume, each.turnover)
            rows.append((each.symbol, each.open_time_us, *amounts, each.trade_count, str(each.status)))
    return sorted(rows)


def ingests(warehouse: bigquery.Client, start: dt.date, end: dt.date) -> dict[tuple[str, dt.date], tuple[str, str]]:
    """Status and reason of every row of `ingests` between two days; no reason is an empty text."""
    query = f"SELECT symbol, date, status, reason FROM {names.INGESTS} WHERE date BETWEEN @start AND @end"
    return {(row[0], row[1]): (row[2], row[3] or "") for row in rows_between(warehouse, query, start, end)}


def candles(
    warehouse: bigquery.Client, start: dt.date, end: dt.date, table: str = names.CANDLES
) -> list[tuple[Any, ...]]:
    """The rows of candles between two days, in order."""
    query = (
        "SELECT symbol, open_time, open, high, low, close, volume, turnover, trade_count, status "
        f"FROM {table} WHERE DATE(open_time) BETWEEN @start AND @end ORDER BY symbol, open_time"
    )
    return [(row[0], from_datetime(row[1]), *row[2:]) for row in rows_between(warehouse, query, start, end)]


def rows_between(warehouse: bigquery.Client, query: str, start: dt.date, end: dt.date) -> list[Any]:
    """The rows of a query with parameters for two days."""
    days = [bigquery.ScalarQueryParameter(name, "DATE", day) for name, day in (("start", start), ("end", end))]
    return list(warehouse.query_and_wait(query, job_config=bigquery.QueryJobConfig(query_parameters=days)))
