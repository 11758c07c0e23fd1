"""A table of BigQuery under DuckDB: which columns and rows a query requests, and that its result is exact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from local.command import warehouse_dataset
from local.command.warehouse_dataset import WarehouseDataset, conditions_of

DAYS = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in range(1, 11)]
TABLE = pa.table(
    {
        "symbol": ["BTCUSDT", "ETHUSDT"] * 5,
        "open_time": pa.array(DAYS, pa.timestamp("us", "UTC")),
        "trade_count": pa.array(range(10), pa.int64()),
        "status": ["final", 'a" and (symbol == "X'] * 5,
    }
)


class Warehouse:
    """BigQuery with one table, which returns all of its rows whatever the conditions. `queries`: what was requested."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, dict[str, Any]]] = []
        self.total_rows = TABLE.num_rows

    def query(self, text: str, **values: Any) -> Warehouse:
        self.queries.append((text, values))
        return self

    def to_arrow_iterable(self, bqstorage_client: object) -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches(max_chunksize=3)

    def answer(self, query: str) -> list[tuple[Any, ...]]:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        dataset = WarehouseDataset(TABLE.schema, "`market.candles` WHERE {}".format, self.query, lambda: None)
        connection.register("candles", dataset)
        return connection.sql(query).fetchall()


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.mark.parametrize(
    ("condition", "where", "values", "counts"),
    [
        ("symbol = 'BTCUSDT'", "symbol = @p0", ["BTCUSDT"], [0, 2, 4, 6, 8]),
        (
            "symbol = 'ETHUSDT' AND open_time >= '2024-01-03' AND open_time < '2024-01-07'",
            "symbol = @p0 AND open_time >= @p1 AND open_time < @p2",
            ["ETHUSDT", DAYS[2], DAYS[6]],
            [3, 5],
        ),
        (
            "date_trunc('day', open_time) = DATE '2024-01-04' AND trade_count > 1",
            "open_time >= @p0 AND open_time < @p1",
            [DAYS[3], DAYS[4]],
            [3],
        ),
        ("symbol = 'BTCUSDT' OR open_time > '2024-01-09'", "TRUE", [], [0, 2, 4, 6, 8, 9]),
        (
            "symbol IN ('BTCUSDT', 'X') AND open_time > '2024-01-08'",
            "symbol IN UNNEST(@p0) AND open_time > @p1",
            [["BTCUSDT", "X"], DAYS[7]],
            [8],
        ),
        (f"symbol IN ('BTCUSDT', {str([f'S{n}' for n in range(30)])[1:-1]})", "TRUE", [], [0, 2, 4, 6, 8]),
        ("symbol NOT IN ('BTCUSDT', 'X')", "TRUE", [], [1, 3, 5, 7, 9]),
        ("symbol LIKE 'ETH%' AND open_time = '2024-01-04'", "open_time = @p0", [DAYS[3]], [3]),
        ("status = 'a\" and (symbol == \"X'", "TRUE", [], [1, 3, 5, 7, 9]),
        ("NOT symbol = 'BTCUSDT'", "TRUE", [], [1, 3, 5, 7, 9]),
    ],
)
def test_conditions_on_symbol_and_time_reach_bigquery(
    warehouse: Warehouse, condition: str, where: str, values: list[Any], counts: list[int]
) -> None:
    rows = warehouse.answer(f"SELECT trade_count FROM candles WHERE {condition} ORDER BY 1")
    assert [count for (count,) in rows] == counts
    [(text, parameters)] = warehouse.queries
    assert text.endswith(f" FROM `market.candles` WHERE {where}")
    assert list(parameters.values()) == values


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT sum(trade_count) FROM candles", "trade_count"),
        ("SELECT count(*) FROM candles", "symbol"),
        ("SELECT status FROM candles WHERE open_time > '2024-01-02' LIMIT 1", "open_time, status"),
        ("SELECT * FROM candles", "symbol, open_time, trade_count, status"),
    ],
)
def test_only_the_needed_columns_are_read(warehouse: Warehouse, query: str, columns: str) -> None:
    warehouse.answer(query)
    assert warehouse.queries[0][0].startswith(f"SELECT {columns} FROM ")


def test_a_table_that_a_query_names_twice_is_read_twice(warehouse: Warehouse) -> None:
    query = """
        SELECT later.trade_count - earlier.trade_count FROM candles later
        JOIN candles earlier ON earlier.open_time = later.open_time - INTERVAL 2 DAYS
        WHERE later.symbol = 'ETHUSDT'
    """
    assert warehouse.answer(query) == [(2,)] * 4
    assert len(warehouse.queries) == 2


def test_too_many_rows_are_an_error_that_names_a_remedy(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse_dataset, "MAX_ROWS", 9)
    message = r"10 rows would be read, and at most 9 are; add conditions such as symbol = 'BTCUSDT'"
    with pytest.raises(duckdb.Error, match=message):
        warehouse.answer("SELECT * FROM candles")


@pytest.mark.parametrize("text", ["", "(", '((symbol == "BTC', '(symbol == "BTCUSDT") and', "(a and b))"])
def test_what_is_not_understood_gives_no_condition(text: str) -> None:
    assert conditions_of(text) == ([], {})
