"""Trades that were received live as a Parquet file of the lake.

The function's modules and tests import it.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bitcoin_pipeline.adapters.arrow import TRADE_ROW_GROUP, table_schema, trade_parquet_options
from bitcoin_pipeline.trade import Trade

_SCHEMA: Final = table_schema("lake.trades_live")


def trades_parquet(trades: list[Trade]) -> pa.Buffer:
    """The trades, sorted by time and order, as a Parquet file with the columns of `lake.trades_live`."""
    columns: dict[str, list[Any]] = {
        "time": [trade.time_us for trade in trades],
        "price": [trade.price for trade in trades],
        "size": [trade.size for trade in trades],
        "side": [str(trade.taker_side) for trade in trades],
        "id": [uuid.UUID(trade.trade_id).bytes for trade in trades],
        "match_order": list(range(len(trades))),
        "block_trade": [trade.block_trade for trade in trades],
        "rpi": [trade.rpi for trade in trades],
        "seq": [trade.order[0] for trade in trades],  # type: ignore[index]  # live trades have live_order
    }
    table = pa.Table.from_arrays([pa.array(columns[column.name], column.type) for column in _SCHEMA], schema=_SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=TRADE_ROW_GROUP, **trade_parquet_options(_SCHEMA))
    return sink.getvalue()
