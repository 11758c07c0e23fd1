"""A BigQuery table as an Arrow dataset, which DuckDB reads with the columns and filters that a query needs.

Imported by `local.command.sql`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

MAX_ROWS: Final = 50_000_000
"""Upper bound on the rows that one scan of a table reads: the minutes of a hundred years of one symbol."""

_SYMBOL = re.compile(r'\(symbol == "([A-Z0-9]+)"\)')
_SYMBOLS = re.compile(
    r"if_else\(is_valid\(symbol\), is_in\(symbol, \{value_set=string:\[\s*"
    r'("[A-Z0-9]+"(?:,\s*"[A-Z0-9]+")*)\s*\], null_matching_behavior=MATCH\}\), null\[bool\]\)'
)
"""The form of `symbol IN (...)`; pyarrow prints at most the first and the last ten values, with three dots between."""
_TIME = re.compile(r"\((open_time) (>=|>|<=|<|==) ([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+)Z\)")

Source = Callable[[str], str]
"""The SQL after FROM that gives a table's rows for which a condition is true."""

Query = Callable[..., Any]
"""Runs a query with named parameters; returns BigQuery's RowIterator."""


class WarehouseDataset(ds.Dataset):  # type: ignore[misc]  # pyarrow ships no types
    """A table or view of BigQuery, read anew by each scan, in constant memory.

    A scan queries the columns that it needs, and the rows by those of its conditions on `symbol` and `open_time` that
    stand at the top level of the filter; the whole filter is applied to what comes. DuckDB passes its filters to any
    subclass of Dataset, as arguments of `scanner`. A scan raises ValueError when it would read more than MAX_ROWS.
    `storage`: makes a BigQueryReadClient.
    """

    def __init__(self, schema: pa.Schema, source: Source, query: Query, storage: Callable[[], Any]) -> None:
        self._columns = schema
        self._source = source
        self._query = query
        self._storage = storage

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table."""
        return self._columns

    def scanner(self, columns: list[str] | None = None, filter: pc.Expression | None = None, **_: Any) -> ds.Scanner:  # noqa: A002  # Dataset's own names
        """A reader of the rows that pass `filter`, with `columns`."""
        text = "" if filter is None else str(filter)
        words = {*(self._columns.names if columns is None else columns), *re.findall(r"\w+", text)}
        # A query for a count alone needs one column.
        names = [name for name in self._columns.names if name in words] or self._columns.names[:1]
        schema = pa.schema([self._columns.field(name) for name in names])
        conditions, values = conditions_of(text)
        source = self._source(" AND ".join(conditions) or "TRUE")
        rows = self._query(f"SELECT {', '.join(names)} FROM {source}", **values)  # noqa: S608  # the names are our own
        if rows.total_rows is not None and rows.total_rows > MAX_ROWS:
            raise ValueError(
                f"{rows.total_rows} rows would be read, and at most {MAX_ROWS} are; "
                "add conditions such as symbol = 'BTCUSDT' AND open_time >= '2024-01-01'"
            )
        return ds.Scanner.from_batches(self._batches(rows, schema), schema=schema, columns=columns, filter=filter)

    def _batches(self, rows: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for batch in rows.to_arrow_iterable(bqstorage_client=self._storage()):
            yield batch.select(schema.names).cast(schema)


def conditions_of(text: str) -> tuple[list[str], dict[str, Any]]:
    """Conditions in BigQuery's SQL, and their parameters, that every row has for which a filter is true.

    `text`: the filter, a pyarrow Expression, as text. A part that is not understood is left out.
    """
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for part in _conjuncts(text):
        name = f"p{len(values)}"
        if match := _SYMBOL.fullmatch(part):
            conditions.append(f"symbol = @{name}")
            values[name] = match[1]
        elif match := _SYMBOLS.fullmatch(part):
            conditions.append(f"symbol IN UNNEST(@{name})")
            values[name] = re.findall("[A-Z0-9]+", match[1])
        elif match := _TIME.fullmatch(part):
            column, operator, time = match.groups()
            conditions.append(f"{column} {operator.replace('==', '=')} @{name}")
            values[name] = dt.datetime.fromisoformat(f"{time}+00:00")
    return conditions, values


def _conjuncts(text: str) -> Sequence[str]:
    """The parts of `text` that its outermost `and`s join: `((a and b) and (c or d))` has a, b and (c or d)."""
    operands, operator = _split(text[1:-1]) if text.startswith("(") and text.endswith(")") else ([], "")
    if operator != " and ":
        return [text]
    return [part for operand in operands for part in _conjuncts(operand)]


def _split(text: str) -> tuple[list[str], str]:
    """The two operands and the operator of `x and y` or `x or y`, outside of quotes and brackets; or none."""
    depth, quoted, at = 0, False, 0
    while at < len(text):
        sign = text[at]
        if quoted:
            at += sign == "\\"  # the sign after it belongs to the text
            quoted = sign != '"'
        elif sign == '"':
            quoted = True
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif depth == 0:
            for operator in (" and ", " or "):
                if text.startswith(operator, at):
                    return [text[:at], text[at + len(operator) :]], operator
        if depth < 0:
            break
        at += 1
    return [], ""
