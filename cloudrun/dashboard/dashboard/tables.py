"""The cache's two tables in DuckDB: rows of history at each level of detail, and live minutes; and bars of both.

Part of the dashboard. Every method may be called in any thread; writes exclude each other. Times are whole seconds
since the epoch, UTC.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from bitcoin_pipeline.adapters.arrow import NUMERIC
from bitcoin_pipeline.candle import COMPLETE, Candle, Source, precedence, precedence_sql
from bitcoin_pipeline.times import SECOND_US
from dashboard.level_of_detail import MINUTE_S, Tile
from dashboard.warehouse import CANDLES, merged_columns

WRITES_PER_CHECKPOINT: Final = 50
"""Number of writes after which DuckDB frees the memory of deleted rows; without checkpoints it would grow for ever."""

_TABLES: Final = """
CREATE TABLE history (
  symbol VARCHAR, level BIGINT, t BIGINT, source VARCHAR,
  open DECIMAL(38, 9), high DECIMAL(38, 9), low DECIMAL(38, 9), close DECIMAL(38, 9),
  volume DECIMAL(38, 9), turnover DECIMAL(38, 9), trade_count BIGINT,
  buy_volume DECIMAL(38, 9), buy_turnover DECIMAL(38, 9), doubt BIGINT, confirmed BOOLEAN,
  archive_count BIGINT, live_count BIGINT, rank BIGINT
);
CREATE TABLE live AS FROM history;
"""

# Rows of history before and after the live days, at their level; within the live days the best minutes of both tables.
# Live days begin and end at midnight, and every interval divides a day, so no bar has parts of both kinds. A row of
# history without a price stands for a minute that had trades and has no candle: it ranks behind every candle, and a bar
# over it is partial.
_BARS: Final = f"""
WITH parts AS (
  SELECT * FROM history
  WHERE symbol = $symbol AND level = $level AND t >= $start AND t < $end AND (t < $live_from OR t >= $live_until)
  UNION ALL
  SELECT * REPLACE (
    max(archive_count) OVER (PARTITION BY t) AS archive_count, max(live_count) OVER (PARTITION BY t) AS live_count
  ) FROM (
    SELECT * FROM history
    WHERE symbol = $symbol AND level = 60 AND t >= greatest($start, $live_from) AND t < least($end, $live_until)
      AND NOT (source = 'live' AND t IN (SELECT t FROM live WHERE symbol = $symbol AND source = 'live'))
    UNION ALL
    SELECT * FROM live WHERE symbol = $symbol AND t >= $start AND t < $end
  )
  QUALIFY row_number() OVER (PARTITION BY t ORDER BY rank) = 1
), bars AS (
  SELECT t // $interval * $interval AS bucket, {merged_columns("t")} FROM parts WHERE open IS NOT NULL GROUP BY bucket
), lost AS (
  SELECT t // $interval * $interval AS bucket, doubt FROM parts WHERE open IS NULL
)
SELECT bars.* REPLACE (greatest(doubt, (SELECT max(lost.doubt) FROM lost WHERE lost.bucket = bars.bucket)) AS doubt)
FROM bars ORDER BY bucket DESC LIMIT $limit
"""  # noqa: S608  # the SQL is constant

_NEWEST_BEFORE: Final = """
SELECT max(t) FROM history WHERE symbol = $symbol AND level = $level AND t < $before
"""

_DELETE_TILES: Final = "DELETE FROM history WHERE symbol = ? AND level = ? AND t >= ? AND t < ?"

_RANK: Final = precedence_sql(f"doubt <= {max(status.doubt for status in COMPLETE)}")

_INSERT_HISTORY: Final = f"""
INSERT INTO history BY NAME SELECT *, $symbol AS symbol, $level AS level, {_RANK} AS rank FROM rows
"""  # noqa: S608  # the SQL is constant

_AMOUNTS: Final = ("open", "high", "low", "close", "volume", "turnover", "buy_volume", "buy_turnover")


@dataclass(frozen=True, slots=True)
class BarQuery:
    """A request for the newest `limit` bars of `interval_s` that open from `start_s` to before `end_s`.

    `level_s`: of the history outside of the live days. The live days begin at `live_from_s` and end at `live_until_s`.
    """

    symbol: str
    level_s: int
    start_s: int
    end_s: int
    live_from_s: int
    live_until_s: int
    interval_s: int
    limit: int


class CandleTables:
    """An in-memory database with both tables."""

    def __init__(self) -> None:
        self._db = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": 2}
        )
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute(_TABLES)
        self._writing = threading.Lock()
        self._writes = 0

    def bars(self, query: BarQuery) -> pa.Table:
        """The bars, oldest first, in the columns of CANDLES."""
        values = {name.removesuffix("_s"): getattr(query, name) for name in BarQuery.__slots__}
        found = self._db.cursor().sql(_BARS, params=values)
        assert found is not None
        bars: pa.Table = found.to_arrow_table().rename_columns(CANDLES.names).cast(CANDLES)
        return bars[::-1]

    def newest_before(self, symbol: str, level_s: int, before_s: int) -> int | None:
        """When the newest row of history before `before_s` opens; None without any."""
        values = {"symbol": symbol, "level": level_s, "before": before_s}
        [(found,)] = self._db.cursor().execute(_NEWEST_BEFORE, values).fetchall()
        return None if found is None else int(found)

    def write_history(self, group: list[Tile], rows: pa.Table, unused: Iterable[Tile]) -> None:
        """Replace the rows of adjoining tiles by these, and delete those of `unused`, in one transaction."""
        first, end_s = group[0], group[-1].end_s
        with self._writing:
            cursor = self._db.cursor()
            cursor.register("rows", rows)
            cursor.execute("BEGIN")
            for tile in unused:
                cursor.execute(_DELETE_TILES, [tile.symbol, tile.level_s, tile.start_s, tile.end_s])
            cursor.execute(_DELETE_TILES, [first.symbol, first.level_s, first.start_s, end_s])
            cursor.execute(_INSERT_HISTORY, {"symbol": first.symbol, "level": first.level_s})
            cursor.execute("COMMIT")
            self._checkpoint(cursor)

    def write_live(self, minutes: list[Candle], first_s: dict[str, int]) -> None:
        """Insert or replace live minutes, and delete each symbol's minutes before its `first_s`, in one transaction."""
        with self._writing:
            cursor = self._db.cursor()
            cursor.register("rows", _live_rows(minutes))
            cursor.execute("BEGIN")
            for symbol, time_s in first_s.items():
                cursor.execute("DELETE FROM live WHERE symbol = ? AND t < ?", [symbol, time_s])
            cursor.execute(
                "DELETE FROM live USING rows WHERE live.symbol = rows.symbol AND live.t = rows.t"
                " AND live.source = rows.source"
            )
            cursor.execute("INSERT INTO live BY NAME SELECT * FROM rows")
            cursor.execute("COMMIT")
            self._checkpoint(cursor)

    def memory_bytes(self) -> int:
        """The memory that the database holds."""
        query = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
        [(found,)] = self._db.cursor().execute(query).fetchall()
        return int(found)

    def _checkpoint(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._writes += 1
        if self._writes % WRITES_PER_CHECKPOINT == 0:
            with suppress(duckdb.TransactionException):  # a read is under way; the next checkpoint will do
                cursor.execute("CHECKPOINT")


def _live_rows(minutes: list[Candle]) -> pa.Table:
    columns: dict[str, Any] = {
        "symbol": pa.array([minute.symbol for minute in minutes], pa.string()),
        "level": pa.array([MINUTE_S] * len(minutes), pa.int64()),
        "t": pa.array([minute.open_time_us // SECOND_US for minute in minutes], pa.int64()),
        "source": pa.array([str(minute.source) for minute in minutes], pa.string()),
        **{name: pa.array([getattr(minute, name) for minute in minutes], NUMERIC) for name in _AMOUNTS},
        "trade_count": pa.array([minute.trade_count for minute in minutes], pa.int64()),
        "doubt": pa.array([minute.status.doubt for minute in minutes], pa.int64()),
        "confirmed": pa.array([minute.confirmed for minute in minutes], pa.bool_()),
        **{
            f"{source}_count": pa.array(
                [minute.trade_count if minute.source is source else None for minute in minutes], pa.int64()
            )
            for source in (Source.ARCHIVE, Source.LIVE)
        },
        "rank": pa.array([precedence(minute) for minute in minutes], pa.int64()),
    }
    return pa.table(columns)
