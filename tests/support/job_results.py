"""Results of the candles job as the core's Trades and Candles. For its tests."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from bitcoin_pipeline.amounts import canonical
from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import from_datetime
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of
from candles_batch.task import Outcome


def candles_of(table: pa.Table) -> list[Candle]:
    """The rows of an Arrow table of candles."""
    return [candle_of(row) for row in table.to_pylist()]


def candle_of(row: dict[str, Any]) -> Candle:
    """One row of `market.candles`, from Arrow or from BigQuery."""
    return Candle(
        open_time_us=from_datetime(row["open_time"]),
        source=Source(row["source"]),
        status=Status(row["status"]),
        **{name: row[name] for name in Candle.__slots__ if name not in ("open_time_us", "source", "status")},
    )


def trades_of(parquet: pa.Buffer | bytes, symbol: str) -> list[Trade]:
    """The trades of a Parquet file of the lake, in the order of its rows."""
    return [_trade(row, symbol) for row in pq.read_table(pa.BufferReader(parquet)).to_pylist()]


def _trade(row: dict[str, Any], symbol: str) -> Trade:
    price, size = canonical(row["price"]), canonical(row["size"])
    return Trade(
        symbol=symbol,
        trade_id=str(uuid.UUID(bytes=row["id"])),
        time_us=from_datetime(row["time"]),
        price=price,
        size=size,
        taker_side=TakerSide(row["side"]),
        turnover=turnover_of(symbol, price, size),
        order=row["match_order"],
        block_trade=row["block_trade"],
        rpi=row["rpi"],
    )


def staged_outcome(folder: str, ingest: dict[str, Any], candles: pa.Table) -> Outcome:
    """The outcome of a day whose candles are staged in `folder` (BUCKET/NAME) of Cloud Storage."""
    path = f"{folder}/{ingest['symbol']}-{ingest['date']}-candles.parquet"
    pq.write_table(candles, path, filesystem=fs.GcsFileSystem())
    return Outcome(ingest, path, candles.num_rows)
