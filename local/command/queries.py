"""The queries of the data commands: candles and ingests in BigQuery, live candles in Postgres, trades in the lake.

Imported by the other modules of `local.command`. Every BigQuery query has bound parameters and a limit on billed bytes.
"""

from __future__ import annotations

import datetime as dt
import heapq
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, Final

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.candle import Candle, Source, Status, merge, precedence
from bitcoin_pipeline.ingests import INGESTS_BETWEEN, Ingest, SymbolDay, parse_ingest
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
    "confirmed",
)
"""The columns of `pipeline candles`; scripts depend on them."""

TRADE_COLUMNS: Final = ("time", "symbol", "side", "price", "size", "trade_id", "block_trade", "rpi")
"""The columns of `pipeline trades`; scripts depend on them."""

_TICK_COLUMNS: Final = ("time", "match_order", "price", "size", "side", "id", "block_trade", "rpi")

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

QUERY_TIMEOUT_S: Final = 300
"""Upper bound on the time that a command waits for a query of BigQuery; a year of candles takes some seconds."""

_REQUEST_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Span:
    """Whole UTC days of one symbol, `start` and `end` included."""

    symbol: str
    start: dt.date
    end: dt.date

    @property
    def times(self) -> dict[str, Any]:
        """Query parameters: symbol, and the half-open range of times lo to hi."""
        return {"symbol": self.symbol, "lo": to_datetime(day_start_us(self.start)), "hi": _end(self.end)}


def ingests(cloud: Cloud, symbols: Sequence[str], start: dt.date, end: dt.date) -> dict[SymbolDay, Ingest]:
    """The rows of the table `ingests` for these symbols and days, `end` included."""
    rows = run_query(cloud, INGESTS_BETWEEN, symbols=list(symbols), start=start, end=end)
    return {ingest.item: ingest for ingest in map(parse_ingest, rows)}


def candle_count(cloud: Cloud, loaded: Collection[SymbolDay]) -> int:
    """Number of 1-minute archive candles of the days `loaded`."""
    from bitcoin_pipeline.adapters.bigquery import count_candles

    return count_candles(partial(run_query, cloud), loaded)


def _end(day: dt.date) -> dt.datetime:
    return to_datetime(day_start_us(day) + DAY_US)


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
    return {from_datetime(row["from_time"]) for row in run_query(cloud, _GAPS, **span.times)}


def _warehouse_minutes(cloud: Cloud, span: Span, query: str) -> Iterator[Candle]:
    rows = run_query(cloud, f"{query} ORDER BY open_time", **span.times)
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


def candle_schema() -> Any:
    """The Arrow schema of CANDLE_COLUMNS."""
    import pyarrow as pa

    from bitcoin_pipeline.adapters.arrow import table_schema

    stored = table_schema(names.CANDLES)
    return pa.schema([stored.field(name) for name in CANDLE_COLUMNS])


def trade_schema() -> Any:
    """The Arrow schema of TRADE_COLUMNS; ids are texts."""
    import pyarrow as pa

    from bitcoin_pipeline.adapters.arrow import table_schema

    stored = table_schema("lake.trades")
    texts = [pa.field(name, pa.string(), nullable=False) for name in ("symbol", "trade_id")]
    by_name = {field.name: field for field in (*stored, *texts)}
    return pa.schema([by_name[name] for name in TRADE_COLUMNS])


def candle_row(candle: Candle) -> tuple[Any, ...]:
    """The values of CANDLE_COLUMNS."""
    rest = (getattr(candle, column) for column in CANDLE_COLUMNS[1:])
    return (to_datetime(candle.open_time_us), *rest)


def trades(cloud: Cloud, span: Span) -> Iterator[tuple[Any, ...]]:
    """The values of TRADE_COLUMNS for every trade in the lake, in matching order, read in batches of rows."""
    for time, _, price, size, side, trade_id, *flags in _ticks(cloud, span):
        yield time, span.symbol, side, price, size, trade_id, *flags


def lake_trades(cloud: Cloud, span: Span) -> Iterator[Trade]:
    """Every trade in the lake, in matching order; `Trade.order` is its place within its day."""
    for time, order, price, size, side, trade_id, block_trade, rpi in _ticks(cloud, span):
        yield Trade(
            symbol=span.symbol,
            trade_id=str(trade_id),
            time_us=from_datetime(time),
            price=price,
            size=size,
            taker_side=TakerSide(side),
            turnover=turnover_of(span.symbol, price, size),
            order=order,
            block_trade=block_trade,
            rpi=rpi,
        )


def _ticks(cloud: Cloud, span: Span) -> Iterator[tuple[Any, ...]]:
    """The values of _TICK_COLUMNS for every trade; those of a column that an older file lacks are None."""
    import pyarrow.parquet as pq

    lake = cloud.lake()
    for day in days(span.start, span.end):
        try:
            file = lake.open_input_file(f"{cloud.settings.lake}/{names.trades_object(span.symbol, day)}")
        except FileNotFoundError:
            continue
        with file, pq.ParquetFile(file) as parquet:
            # The reader returns columns in the order of the file.
            present = [name for name in _TICK_COLUMNS if name in parquet.schema_arrow.names]
            absent = (None,) * (len(_TICK_COLUMNS) - len(present))  # the flags, which are the last
            for batch in parquet.iter_batches(columns=present):
                for *row, trade_id, block_trade, rpi in ((*row, *absent) for row in rows_of([batch.select(present)])):
                    yield *row, uuid.UUID(bytes=trade_id), block_trade, rpi


def rows_of(reader: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of Arrow record batches as tuples of Python values."""
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def run_query(cloud: Cloud, query: str, **values: Any) -> Any:
    """The rows of a BigQuery query with `values` as its parameters. Raises TimeoutError after QUERY_TIMEOUT_S."""
    from bitcoin_pipeline.adapters.bigquery import query_config

    try:
        return cloud.bigquery().query_and_wait(
            query,
            job_config=query_config(**values),
            api_timeout=_REQUEST_TIMEOUT_S,
            wait_timeout=QUERY_TIMEOUT_S,
        )
    except TimeoutError as error:  # the client's error has no text
        raise TimeoutError(f"BigQuery has not answered a query within {QUERY_TIMEOUT_S} s") from error


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
