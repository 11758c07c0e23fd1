"""The schema files as Arrow schemas, and how trades and objects of the lake are written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.arrow import NUMERIC, table_schema, trade_parquet_options, write_object


@pytest.mark.parametrize("name", [*schemas.tables(), *schemas.tables("lake")])
def test_every_schema_file_has_its_columns(name: str) -> None:
    table = schemas.table(name)
    schema = table_schema(name)
    assert schema.names == list(table.names)
    assert [field.nullable for field in schema] == [field["mode"] != "REQUIRED" for field in table.fields]


def test_types_hold_the_values_exactly() -> None:
    schema = table_schema("lake.trades")
    assert schema.field("time").type == pa.timestamp("us", "UTC")
    assert (schema.field("price").type, NUMERIC) == (pa.decimal128(38, 9), pa.decimal128(38, 9))
    assert schema.field("id").type == pa.binary(16)
    assert table_schema("market.ingests").field("date").type == pa.date32()


def test_columns_may_be_left_out() -> None:
    names = table_schema("market.candles", leave_out=("updated_at",)).names
    assert names == [name for name in schemas.table("market.candles").names if name != "updated_at"]


def test_only_random_bytes_are_not_compressed() -> None:
    compression = trade_parquet_options(table_schema("lake.trades_live"))["compression"]
    assert {name for name, kind in compression.items() if kind == "none"} == {"id"}
    assert set(compression.values()) == {"zstd", "none"}


def test_an_object_is_written_whole(tmp_path: Path) -> None:
    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    write_object(files, "object", b"older and longer")
    write_object(files, "object", pa.py_buffer(b"content"))
    assert (tmp_path / "object").read_bytes() == b"content"
