"""Trades of the lake, read from files of every age: the flags that an older file lacks are null."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from bitcoin_pipeline import names
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from local.command.queries import TRADE_COLUMNS, Span, lake_trades, trades
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
    names_, rows = sql(cloud, "SELECT match_order, rpi, block_trade FROM trades ORDER BY match_order")
    assert names_ == ["match_order", "rpi", "block_trade"]
    expected = [True, False] if cloud.flags else [None, None]
    assert list(rows) == [(place, rpi, None) for place, rpi in enumerate(expected)]
