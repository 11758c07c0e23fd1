"""The queries of the data commands: trades of the lake, from files of every age, and limits of BigQuery's queries."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from bitcoin_pipeline import names
from bitcoin_pipeline.ingests import SymbolDay
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from local.command.output import Format, write_rows
from local.command.queries import (
    QUERY_TIMEOUT_S,
    TRADE_COLUMNS,
    Span,
    candle_count,
    ingests,
    lake_trades,
    rows_of,
    trade_schema,
    trades,
)
from local.command.sql import sql
from tests.support.small_files import DAY, file, row

FILE = file(row(1, time="1714953600", rpi="1"), row(2, time="1714953601", rpi="0"))


@pytest.fixture(params=["old", "new"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A lake of one day in the form before the flags, or in today's."""
    content = trades_parquet(read_day([FILE], "BTCUSDT", DAY))
    path = tmp_path / "lake" / names.trades_object("BTCUSDT", DAY)
    path.parent.mkdir(parents=True)
    table = pq.read_table(pa.BufferReader(content))
    pq.write_table(table.drop_columns(["block_trade", "rpi"]) if request.param == "old" else table, path)
    lake = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    settings = SimpleNamespace(lake="lake", project="project")
    return SimpleNamespace(lake=lambda: lake, settings=settings, bigquery_storage=None, flags=request.param == "new")


def test_every_file_has_its_trades(cloud: Any) -> None:
    span = Span("BTCUSDT", DAY, DAY)
    expected = [(1, True), (2, False)] if cloud.flags else [(1, None), (2, None)]
    rows = [dict(zip(TRADE_COLUMNS, values, strict=True)) for values in trades(cloud, span)]
    assert [(each["trade_id"].int, each["rpi"]) for each in rows] == expected
    assert [(each["symbol"], each["price"], each["block_trade"]) for each in rows] == 2 * [
        ("BTCUSDT", Decimal("100.5"), None)
    ]
    assert [(trade.order, trade.rpi, trade.block_trade) for trade in lake_trades(cloud, span)] == [
        (place, rpi, None) for place, (_, rpi) in enumerate(expected)
    ]


def test_sql_reads_every_file(cloud: Any) -> None:
    reader = sql(cloud, "SELECT match_order, rpi, block_trade FROM trades ORDER BY match_order")
    assert reader.schema.names == ["match_order", "rpi", "block_trade"]
    expected = [True, False] if cloud.flags else [None, None]
    assert list(rows_of(reader)) == [(place, rpi, None) for place, rpi in enumerate(expected)]


def test_vwap_follows_the_kind_of_the_symbol(cloud: Any) -> None:
    # 20,000 contracts of 1 USD for 0.312304992 BTC, and the same price of a linear symbol.
    query = """
        SELECT symbol, round(vwap(symbol, sum(volume), sum(turnover)), 1) AS vwap
        FROM (VALUES ('BTCUSD', 20000, 0.312304992), ('BTCUSDM24', 20000, 0.312304992), ('BTCUSDT', 0.5, 32020))
        AS candles (symbol, volume, turnover) GROUP BY symbol ORDER BY symbol"""
    assert list(rows_of(sql(cloud, query))) == [("BTCUSD", 64040.0), ("BTCUSDM24", 64040.0), ("BTCUSDT", 64040.0)]


@pytest.mark.parametrize("output_format", [Format.PARQUET, Format.ARROW])
def test_trades_as_parquet_and_arrow_keep_their_types(cloud: Any, tmp_path: Path, output_format: Format) -> None:
    path = tmp_path / "out"
    with path.open("w") as out:
        rows = trades(cloud, Span("BTCUSDT", DAY, DAY))
        assert write_rows(TRADE_COLUMNS, rows, output_format, out, schema=trade_schema) == 2
    table = pq.read_table(path) if output_format is Format.PARQUET else pa.ipc.open_stream(path.read_bytes()).read_all()
    assert table.schema.names == list(TRADE_COLUMNS)
    assert table.schema.field("price").type == pa.decimal128(38, 9)
    expected = [True, False] if cloud.flags else [None, None]
    assert [(row["price"], row["trade_id"][-1], row["rpi"]) for row in table.to_pylist()] == [
        (Decimal("100.5"), str(number), rpi) for number, rpi in enumerate(expected, 1)
    ]


class Warehouse:
    """BigQuery's client: it notes the query, and has one row for each symbol and day of its `rows`."""

    def __init__(self, rows: list[dict[str, Any]], error: Exception | None = None) -> None:
        self.rows = rows
        self.error = error
        self.query = ""
        self.values: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}

    def query_and_wait(self, query: str, *, job_config: Any, **limits: Any) -> list[dict[str, Any]]:
        self.query, self.limits = query, limits
        self.values = {parameter.name: parameter for parameter in job_config.query_parameters}
        if self.error is not None:
            raise self.error
        return self.rows


def with_warehouse(warehouse: Warehouse) -> Any:
    return SimpleNamespace(bigquery=lambda: warehouse)


def test_candles_are_counted_in_the_partitions_of_the_days_only() -> None:
    days = [dt.date(2020, 3, 25), dt.date(2026, 11, 28), dt.date(2026, 11, 29)]
    loaded = [SymbolDay("BTCUSDT", day) for day in days]
    rows = [{"symbol": "BTCUSDT", "date": day, "candles": 1440} for day in days]
    rows += [{"symbol": "ETHUSDT", "date": days[0], "candles": 7}]  # a row that is not of the loaded days
    warehouse = Warehouse(rows)
    assert candle_count(with_warehouse(warehouse), loaded) == 3 * 1440
    compared = re.findall(r"stored.open_time (>=|<) @(\w+)", warehouse.query)
    assert [(operator, str(warehouse.values[name].value)) for operator, name in compared] == [
        (">=", "2020-03-25 00:00:00+00:00"),
        ("<", "2020-03-26 00:00:00+00:00"),
        (">=", "2026-11-28 00:00:00+00:00"),
        ("<", "2026-11-30 00:00:00+00:00"),
    ]


def test_no_day_needs_no_query() -> None:
    warehouse = Warehouse([])
    assert candle_count(with_warehouse(warehouse), []) == 0
    assert warehouse.query == ""


def test_a_query_without_an_answer_ends_with_a_reason() -> None:
    warehouse = Warehouse([], TimeoutError())
    with pytest.raises(TimeoutError, match=f"BigQuery has not answered a query within {QUERY_TIMEOUT_S} s"):
        ingests(with_warehouse(warehouse), ["BTCUSDT"], DAY, DAY)
    assert warehouse.limits["wait_timeout"] == QUERY_TIMEOUT_S
    assert warehouse.limits["api_timeout"]
