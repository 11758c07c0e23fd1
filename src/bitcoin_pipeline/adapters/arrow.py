"""The schema files as Arrow schemas, and the form in which trades and other objects are written to the lake.

Part of the adapters; wraps pyarrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from bitcoin_pipeline import schemas
from bitcoin_pipeline.amounts import SCALE

NUMERIC: Final = pa.decimal128(38, SCALE)
"""The Arrow type of prices, sizes and their sums."""

TRADE_ROW_GROUP: Final = 1 << 17
"""Rows of a row group of trades: about an hour of a busy day, so that a query of minutes skips most of a file."""

_TYPES: Final = {
    "STRING": pa.string(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "NUMERIC": NUMERIC,
    "INTEGER": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "BYTES": pa.binary(16),  # ids of trades
}


def table_schema(table: str, leave_out: Sequence[str] = ()) -> pa.Schema:
    """The columns of a schema file, such as `lake.trades`, without those in `leave_out`."""
    wanted = [field for field in schemas.table(table).fields if field["name"] not in leave_out]
    return pa.schema(
        [pa.field(field["name"], _TYPES[field["type"]], nullable=field["mode"] != "REQUIRED") for field in wanted]
    )


def trade_parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options of Parquet writers for trades in the columns of `schema`, sorted by time and match_order."""
    return {
        "compression": dict.fromkeys(schema.names, "zstd") | {"id": "none"},  # random bytes do not shrink
        "use_dictionary": ["price", "size", "side"],
        "sorting_columns": [pq.SortingColumn(schema.get_field_index(name)) for name in ("time", "match_order")],
        "store_schema": False,
    }


def write_object(files: fs.FileSystem, path: str, content: pa.Buffer | bytes) -> None:
    """Writes an object of the lake whole. Raises OSError.

    A stream makes its object visible when it is closed, even after a failed write; a single write has no part that
    could be missing.
    """
    with files.open_output_stream(path, compression=None) as stream:
        stream.write(content)
