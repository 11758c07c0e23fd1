"""The command `pipeline sql`: DuckDB over the trades in the lake and the tables of BigQuery.

Imported by `local.command.data`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.symbols import INVERSE
from local.command.cloud import Cloud
from local.command.queries import run_query


def sql(cloud: Cloud, query: str) -> Any:
    """The result of a DuckDB query over trades and the tables of BigQuery, as a reader of Arrow batches.

    Only the columns are read that the query needs, and of BigQuery's tables the rows that its conditions on symbol and
    open_time select, in constant memory. Raises duckdb.Error when the query is wrong or reads too many rows.
    """
    import duckdb

    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,  # nothing is downloaded
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a name in the query is a table, never a Python variable
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # The lake is listed only for a query with the word; DuckDB's own list of tables fails on joins and PIVOT.
    if re.search(r"\btrades\b", query.lower()):
        connection.register("lake_trades", _lake_dataset(cloud))
        connection.execute(_TRADES_VIEW)
    for name in (*schemas.tables(), *schemas.views()):
        connection.register(name.rpartition(".")[2], _warehouse_dataset(cloud, name))
    connection.execute(_VWAP_MACRO)
    try:
        relation = connection.sql(query)
    except duckdb.Error:
        connection.execute(query)  # fails as well, and its error has the line of the query and a caret
        raise
    if relation is None:
        raise duckdb.InvalidInputException("the query must return rows")
    return relation.to_arrow_reader(10_000)


_VWAP_MACRO = f"""
CREATE MACRO vwap(symbol, volume, turnover) AS
CASE WHEN regexp_full_match(symbol, '{INVERSE.pattern}') THEN volume / turnover ELSE turnover / volume END
"""
"""The volume-weighted average price; an inverse symbol has its turnover in the base coin and its volume in USD."""

_TRADES_VIEW = """
CREATE VIEW trades AS
SELECT time, symbol, side, price, size, match_order, date, CAST(lower(hex(id)) AS UUID) AS trade_id, block_trade, rpi
FROM lake_trades
"""


def _lake_schema() -> Any:
    import pyarrow as pa

    from bitcoin_pipeline.adapters.arrow import table_schema

    partitions = [pa.field("symbol", pa.string()), pa.field("date", pa.date32())]
    return pa.schema([*table_schema("lake.trades"), *partitions])


def _lake_dataset(cloud: Cloud) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = _lake_schema()
    root = f"{cloud.settings.lake}/{names.TRADES_PREFIX.rstrip('/')}"
    partitioning = ds.partitioning(pa.schema([schema.field("symbol"), schema.field("date")]), flavor="hive")
    try:
        return ds.dataset(root, schema=schema, format="parquet", filesystem=cloud.lake(), partitioning=partitioning)
    except FileNotFoundError:
        return schema.empty_table()


def _warehouse_dataset(cloud: Cloud, name: str) -> Any:
    from bitcoin_pipeline.adapters.arrow import table_schema
    from local.command.warehouse_dataset import WarehouseDataset

    is_table = name in schemas.tables()

    def source(condition: str) -> str:
        return f"`{name}` WHERE {condition}" if is_table else f"({schemas.view_sql(name, project, condition)})"

    project = cloud.settings.project
    # The views have the columns of the candles.
    schema = table_schema(name if is_table else names.CANDLES)
    return WarehouseDataset(schema, source, partial(run_query, cloud), cloud.bigquery_storage)
