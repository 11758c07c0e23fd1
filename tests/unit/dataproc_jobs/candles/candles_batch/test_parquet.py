"""The Parquet file of a day: its schema, its row groups, its statistics and its order."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.arrow import table_schema
from candles_batch.parquet import trades_parquet
from candles_batch.reading import read_day
from tests.support.small_files import REAL_DAY, REAL_FILE


def test_parquet_has_the_schema_and_row_groups_to_prune_by_time() -> None:
    day = read_day([REAL_FILE.read_bytes()], "BTCUSDT", REAL_DAY)
    file = pq.ParquetFile(pa.BufferReader(trades_parquet(day, row_group=1000)))
    assert file.schema_arrow.equals(table_schema("lake.trades"), check_metadata=True)
    assert file.schema_arrow.names == list(schemas.table("lake.trades").names)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [1000, 1000, 693]
    spans = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
    assert spans == sorted(spans)
    assert {column.compression for group in groups[:1] for column in map(group.column, range(5))} == {
        "ZSTD",
        "UNCOMPRESSED",
    }
    assert [(column.column_index, column.descending) for column in groups[0].sorting_columns] == [
        (0, False),
        (5, False),
    ]
