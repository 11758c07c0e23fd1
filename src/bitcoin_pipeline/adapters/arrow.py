"""The schema files as Arrow has them, for Parquet in the lake and for columns in memory.

Part of the adapters; wraps pyarrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from bitcoin_pipeline import schemas
from bitcoin_pipeline.amounts import SCALE

NUMERIC: Final = pa.decimal128(38, SCALE)
"""Prices, sizes and their sums."""

TRADE_ROW_GROUP: Final = 1 << 17
"""Rows of a row group of trades: about an hour of a busy day, so that a reader of some minutes skips nearly all."""

_TYPES: Final = {
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "NUMERIC": NUMERIC,
    "INTEGER": pa.int64(),
    "DATE": pa.date32(),
    "BYTES": pa.binary(16),  # ids of trades
}


def table_schema(table: str, leave_out: Sequence[str] = ()) -> pa.Schema:
    """The columns of one of the core's schema files, such as `lake.trades`, `leave_out` aside."""
    wanted = [field for field in schemas.table(table).fields if field["name"] not in leave_out]
    return pa.schema(
        [pa.field(field["name"], _TYPES[field["type"]], nullable=field["mode"] != "REQUIRED") for field in wanted]
    )


def trade_compression(schema: pa.Schema) -> dict[str, str]:
    """How each column of a Parquet file of trades is compressed."""
    return dict.fromkeys(schema.names, "zstd") | {"id": "none"}  # random bytes do not shrink
