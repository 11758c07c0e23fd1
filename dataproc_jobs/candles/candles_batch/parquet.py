"""The trades of one day as a Parquet file of the lake.

Part of the candles job; its modules and tests import it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bitcoin_pipeline.adapters.arrow import TRADE_ROW_GROUP, table_schema, trade_parquet_options
from bitcoin_pipeline.trade import TakerSide
from candles_batch.arrays import decimals, fixed_width, flags, strings
from candles_batch.columns import Day


def trades_parquet(day: Day, row_group: int = TRADE_ROW_GROUP) -> pa.Buffer:
    """The sorted trades of a day with the columns of `lake.trades`, in groups of `row_group` rows to prune by time."""
    schema = table_schema("lake.trades")
    # Written as a dictionary, which the schema of the file does not show.
    side = schema.get_field_index("side")
    schema = schema.set(side, pa.field("side", pa.dictionary(pa.int8(), pa.string()), nullable=False))
    sides = strings([TakerSide.SELL, TakerSide.BUY])
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        column_encoding={"time": "DELTA_BINARY_PACKED", "match_order": "DELTA_BINARY_PACKED", "id": "PLAIN"},
        write_statistics=["time", "price", "size", "match_order"],
        **trade_parquet_options(schema),
    ) as writer:
        for start in range(0, len(day.trades), row_group):
            part = slice(start, start + row_group)
            trades = day.trades.at(part)
            codes = pa.py_buffer(trades.bought.astype(np.int8))
            columns = {
                "time": fixed_width(trades.time_us, pa.timestamp("us", "UTC")),
                "price": decimals(trades.price),
                "size": decimals(trades.size),
                "side": pa.DictionaryArray.from_buffers(schema.field("side").type, len(trades), [None, codes], sides),
                "id": fixed_width(trades.trade_id, pa.binary(16)),
                "match_order": fixed_width(day.order[part].astype(np.int64), pa.int64()),
                "block_trade": pa.nulls(len(trades), pa.bool_()),
                "rpi": flags(trades.rpi),
            }
            writer.write_table(pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema), row_group)
    return sink.getvalue()
