"""The queries of the data commands: candles and ingests in BigQuery, trades in the lake, all of them through DuckDB.

Imported by the other modules of `local.command`. Every BigQuery query has bound parameters and a limit on billed bytes.
"""

from __future__ import annotations

import datetime as dt
import heapq
import re
import uuid
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.candle import Candle, Source, Status, merge, precedence
from bitcoin_pipeline.ingests import IngestStatus, SymbolDay
from bitcoin_pipeline.settings import SettingsError
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us, days, floor_us, from_datetime, to_datetime
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of
from local.command.cloud import Cloud

CANDLE_COLUMNS: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "turnover",
    "trade_count",
    "buy_volume",
    "buy_turnover",
    "status",
)
"""The columns of `pipeline candles`; scripts depend on them."""

TRADE_COLUMNS: Final = ("time", "symbol", "side", "price", "size", "trade_id")
"""The columns of `pipeline trades`; scripts depend on them."""

_TICK_COLUMNS: Final = ["time", "match_order", "price", "size", "side", "id"]

_INGESTS = f"""
SELECT * FROM `{names.INGESTS}`
WHERE symbol = @symbol AND date BETWEEN @start AND @end
ORDER BY date
"""  # noqa: S608  # the names are our own, the values bound

_IN_SPAN: Final = "symbol = @symbol AND open_time >= @lo AND open_time < @hi"

_GAPS = f"""
SELECT from_time FROM `{names.GAPS}`
WHERE symbol = @symbol AND source = 'archive' AND from_time >= @lo AND from_time < @hi
"""  # noqa: S608  # the names are our own, the values bound

_LIVE_CANDLES = """
SELECT * FROM candles
WHERE symbol = %(symbol)s AND open_time >= %(lo)s AND open_time < %(hi)s AND source = 'live'
ORDER BY open_time
"""

_COUNT = f"""
SELECT COUNT(*) FROM `{names.CANDLES}`
WHERE symbol = @symbol AND source = 'archive' AND open_time >= @lo AND open_time < @hi
  AND DATE(open_time) IN UNNEST(@days)
"""  # noqa: S608  # the names are our own, the values bound


@dataclass(frozen=True, slots=True)
class Span:
    """Whole UTC days of one symbol, `start` and `end` included."""

    symbol: str
    start: dt.date
    end: dt.date

    @property
    def times(self) -> dict[str, Any]:
        """Query parameters: symbol, and the half-open range of times lo to hi."""
        lo, hi = to_datetime(day_start_us(self.start)), to_datetime(day_start_us(self.end) + DAY_US)
        return {"symbol": self.symbol, "lo": lo, "hi": hi}


@dataclass(frozen=True, slots=True)
class Ingest:
    """The outcome of one symbol-day, as the batch recorded it; the counts are 0 unless its file could be read."""

    item: SymbolDay
    status: IngestStatus
    reason: str
    row_count: int
    duplicates: int
    quarantined: int
    zero_size_rows: int
    batch_id: str

    @property
    def trades(self) -> int:
        """Number of trades that the day has in the lake."""
        return self.row_count - self.duplicates - self.quarantined - self.zero_size_rows


def ingests(cloud: Cloud, span: Span) -> dict[SymbolDay, Ingest]:
    """The rows of the table `ingests` for these days."""
    rows = _query(cloud, _INGESTS, symbol=span.symbol, start=span.start, end=span.end)
    found = (
        Ingest(
            SymbolDay(row["symbol"], row["date"]),
            IngestStatus(row["status"]),
            row["reason"] or "",
            row["row_count"] or 0,
            row["duplicates"] or 0,
            row["quarantined"] or 0,
            row["zero_size_rows"] or 0,
            row["batch_id"],
        )
        for row in rows
    )
    return {ingest.item: ingest for ingest in found}


def candle_count(cloud: Cloud, span: Span, loaded: list[dt.date]) -> int:
    """Number of 1-minute archive candles on the days `loaded` within `span`."""
    return int(next(iter(_query(cloud, _COUNT, **span.times, days=loaded)))[0]) if loaded else 0


def candles(cloud: Cloud, span: Span, plane: str, interval_us: int) -> Iterator[Candle]:
    """The candles of a plane (best, archive, live) in order of time. Raises psycopg.Error when Postgres is away."""
    has_live = bool(cloud.settings.live_database)
    if plane == "live":
        if not has_live:
            raise SettingsError("PGHOST is not set (the live plane's Postgres); --plane archive does without it")
        minutes = _live_minutes(span)
    elif plane == "best":
        query = schemas.view_sql(names.CANDLES_BEST, cloud.settings.project, _IN_SPAN)
        minutes = _warehouse_minutes(cloud, span, query)
        minutes = _best(minutes, _live_minutes(span)) if has_live else minutes
    else:
        query = f"SELECT * FROM `{names.CANDLES}` WHERE {_IN_SPAN} AND source = '{Source(plane)}'"  # noqa: S608  # bound
        minutes = _warehouse_minutes(cloud, span, query)
    if interval_us == MINUTE_US:
        yield from minutes
        return
    gaps = set() if plane == "live" else _archive_gaps(cloud, span)
    bucket: list[Candle] = []
    for minute in minutes:
        if bucket and floor_us(bucket[0].open_time_us, interval_us) != floor_us(minute.open_time_us, interval_us):
            yield from _longer(bucket, interval_us, gaps)
            bucket = []
        # The best minutes may come of several sources; a longer candle of them is still one.
        bucket.append(replace(minute, source=bucket[0].source) if bucket else minute)
    yield from _longer(bucket, interval_us, gaps)


def _longer(minutes: list[Candle], interval_us: int, gaps: Set[int]) -> list[Candle]:
    """The minutes merged; in the best plane, a minute that the archive lacks may have a candle of another source."""
    return merge(minutes, interval_us, lost_minutes=gaps - {minute.open_time_us for minute in minutes})


def _archive_gaps(cloud: Cloud, span: Span) -> set[int]:
    """The open times (us) of the minutes of which the archive's candles show nothing, although they had trades."""
    return {from_datetime(row["from_time"]) for row in _query(cloud, _GAPS, **span.times)}


def _warehouse_minutes(cloud: Cloud, span: Span, query: str) -> Iterator[Candle]:
    rows = _query(cloud, f"{query} ORDER BY open_time", **span.times)
    return (_candle(dict(row.items())) for row in rows)


def _live_minutes(span: Span) -> Iterator[Candle]:
    import psycopg
    from psycopg.rows import dict_row

    # libpq finds the server by its own variables. A server-side cursor keeps long spans out of memory.
    with psycopg.connect(connect_timeout=10) as connection, connection.cursor("candles", row_factory=dict_row) as rows:
        rows.execute(_LIVE_CANDLES, span.times)
        yield from map(_candle, rows)


def _best(*planes: Iterator[Candle]) -> Iterator[Candle]:
    """One candle per minute, chosen among the planes by the rule of the view `candles_best`."""
    in_order = heapq.merge(*planes, key=lambda candle: candle.open_time_us)
    for _, same_minute in groupby(in_order, key=lambda candle: candle.open_time_us):
        yield min(same_minute, key=precedence)


def candle_row(candle: Candle) -> tuple[Any, ...]:
    """The values of CANDLE_COLUMNS."""
    rest = (getattr(candle, column) for column in CANDLE_COLUMNS[1:])
    return (to_datetime(candle.open_time_us), *rest)


def trades(cloud: Cloud, span: Span) -> Iterator[tuple[Any, ...]]:
    """The values of TRADE_COLUMNS for every trade in the lake, in matching order, read in batches of rows."""
    for time, _, price, size, side, trade_id in _ticks(cloud, span):
        yield time, span.symbol, side, price, size, trade_id


def lake_trades(cloud: Cloud, span: Span) -> Iterator[Trade]:
    """Every trade in the lake, in matching order; `Trade.order` is its place within its day."""
    for time, order, price, size, side, trade_id in _ticks(cloud, span):
        yield Trade(
            symbol=span.symbol,
            trade_id=str(trade_id),
            time_us=from_datetime(time),
            price=price,
            size=size,
            taker_side=TakerSide(side),
            turnover=turnover_of(span.symbol, price, size),
            order=order,
        )


def _ticks(cloud: Cloud, span: Span) -> Iterator[tuple[Any, ...]]:
    """Time, match order, price, size, side and id of every trade."""
    import pyarrow.parquet as pq

    lake = cloud.lake()
    for day in days(span.start, span.end):
        try:
            file = lake.open_input_file(f"{cloud.settings.lake}/{names.trades_object(span.symbol, day)}")
        except FileNotFoundError:
            continue
        with file, pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(columns=_TICK_COLUMNS):
                # The reader returns columns in the order of the file.
                for row in _rows([batch.select(_TICK_COLUMNS)]):
                    yield *row[:-1], uuid.UUID(bytes=row[-1])


def sql(cloud: Cloud, query: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Names and rows of a DuckDB query over trades, candles, candles_best, candle_history and ingests.

    Only the tables that the query names are read: trades from the lake's Parquet files, pruned by symbol, date and
    column; the others from BigQuery as Arrow. Raises duckdb.Error when the query is wrong.
    """
    import duckdb

    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,  # nothing is downloaded
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a name in the query is a table, never a Python variable
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # A word that only looks like a table costs one needless read; DuckDB's own list of tables fails on joins and PIVOT.
    words = set(re.findall(r"\w+", query.lower()))
    if "trades" in words:
        connection.register("lake_trades", _lake_dataset(cloud))
        connection.execute(_TRADES_VIEW)
    for name in (*schemas.tables(), *schemas.views()):
        short = name.rpartition(".")[2]
        if short in words:
            connection.register(short, _arrow_table(cloud, name))
    relation = connection.sql(query)
    if relation is None:
        raise duckdb.InvalidInputException("the query must return rows")
    reader = relation.to_arrow_reader(10_000)
    return reader.schema.names, _rows(reader)


_TRADES_VIEW = """
CREATE VIEW trades AS
SELECT time, symbol, side, price, size, match_order, date, CAST(lower(hex(id)) AS UUID) AS trade_id
FROM lake_trades
"""


def _lake_schema() -> Any:
    import pyarrow as pa

    from bitcoin_pipeline.adapters.arrow import table_schema

    partitions = [pa.field("symbol", pa.string()), pa.field("date", pa.date32())]
    return pa.schema([*table_schema("lake.trades"), *partitions])


def _lake_dataset(cloud: Cloud) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = _lake_schema()
    root = f"{cloud.settings.lake}/{names.TRADES_PREFIX.rstrip('/')}"
    partitioning = ds.partitioning(pa.schema([schema.field("symbol"), schema.field("date")]), flavor="hive")
    try:
        return ds.dataset(root, schema=schema, format="parquet", filesystem=cloud.lake(), partitioning=partitioning)
    except FileNotFoundError:
        return schema.empty_table()


def _arrow_table(cloud: Cloud, name: str) -> Any:
    rows = _query(cloud, f"SELECT * FROM `{name}`")  # noqa: S608  # one of our own names
    return rows.to_arrow(bqstorage_client=cloud.bigquery_storage())


def _rows(reader: Any) -> Iterator[tuple[Any, ...]]:
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _query(cloud: Cloud, query: str, **values: Any) -> Any:
    from bitcoin_pipeline.adapters.bigquery import query_config

    return cloud.bigquery().query_and_wait(query, job_config=query_config(**values))


def _candle(values: Mapping[str, Any]) -> Candle:
    return Candle(
        symbol=values["symbol"],
        open_time_us=from_datetime(values["open_time"]),
        source=Source(values["source"]),
        status=Status(values["status"]),
        **{
            name: values[name]
            for name in Candle.__slots__
            if name not in ("symbol", "open_time_us", "source", "status")
        },
    )
