"""Writes rows as a table for people, or as CSV or JSON for programs. Only data goes to stdout.

Imported by the other modules of `local.command`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import os
import pydoc
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.times import from_datetime, iso

if TYPE_CHECKING:
    import pyarrow as pa

Row = Sequence[Any]

STDERR: Final = Console(stderr=True, highlight=False, soft_wrap=True)
"""The console for progress, notes and errors."""

_HEAD_LINES: Final = 2
"""Number of lines of a terminal beside a table's rows: its head and the prompt."""

_SHOWN: Final = 20
"""Number of rows at the head and at the foot of a table; a program that needs all rows takes CSV."""

_PAGED: Final = 5000
"""The same number where a pager shows the table."""

_BATCH_ROWS: Final = 10_000
"""Number of rows of a batch of Arrow."""

_ANY_WIDTH: Final = 1_000_000


class Format(StrEnum):
    """The values of `--format`."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"


BINARY: Final = (Format.PARQUET, Format.ARROW)
"""The formats that no terminal can show."""


def write_rows(
    names: Sequence[str],
    rows: Iterable[Row],
    output_format: Format,
    out: TextIO | None = None,
    *,
    schema: Callable[[], pa.Schema] | None = None,
) -> int:
    """Write rows as they come, in constant memory, and return their number.

    `schema`: returns the Arrow schema of the rows, which a binary format needs. Raises OSError as `write_batches` does.
    """
    out = out or sys.stdout
    if output_format in BINARY:
        assert schema is not None
        columns = schema()
        return write_batches(columns, _batches(columns, rows), output_format, out)
    if output_format is Format.TABLE:
        return _write_table(names, rows, out)
    return _write_csv(names, rows, out) if output_format is Format.CSV else _write_json(names, rows, out)


def text_of(value: Any) -> str:  # noqa: PLR0911  # one return for each kind
    """A value as text: plain decimals, times as 2020-03-25T10:36:00Z, the empty text for a missing value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value)
    if isinstance(value, dt.datetime):
        return iso(from_datetime(value if value.tzinfo else value.replace(tzinfo=dt.UTC)))
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple | dict):
        return json.dumps(_json_value(value), ensure_ascii=False)
    return str(value)


def write_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], output_format: Format, out: TextIO | None = None
) -> int:
    """Write Arrow batches as a Parquet file or as a stream of Arrow's IPC format, and return the number of rows.

    Raises OSError when the output is a terminal.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = out or sys.stdout
    if out.isatty():
        raise OSError(f"{output_format} is no text; send it to a file: pipeline ... > FILE.{output_format}")
    count = 0
    sink = pa.PythonFile(_Counted(out.buffer), "w")
    open_writer = pq.ParquetWriter if output_format is Format.PARQUET else pa.ipc.new_stream
    with open_writer(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    out.buffer.flush()
    return count


class _Counted:
    """A binary output that has a position although it may be a pipe, as the writer of Parquet needs."""

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._written = 0

    def write(self, content: bytes) -> int:
        """Write all of `content`."""
        self._out.write(content)
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        """The number of bytes written."""
        return self._written

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._out.flush()

    def close(self) -> None:
        """Leave the output open, as it is the process's own."""


def _batches(schema: pa.Schema, rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    iterator = iter(rows)
    while part := list(islice(iterator, _BATCH_ROWS)):
        columns = []
        for field, values in zip(schema, zip(*part, strict=True), strict=True):
            texts = map(_text_or_none, values) if pa.types.is_string(field.type) else values
            columns.append(pa.array(texts, field.type))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _text_or_none(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _write_csv(names: Sequence[str], rows: Iterable[Row], out: TextIO) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # the count is the result
        writer.writerow([text_of(value) for value in row])
    return count


def _write_json(names: Sequence[str], rows: Iterable[Row], out: TextIO) -> int:
    # Decimals are strings, as in Bybit's own JSON: a reader's floats would not keep them.
    count = 0
    for count, row in enumerate(rows, 1):
        record = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
        out.write(("[\n" if count == 1 else ",\n") + json.dumps(record, ensure_ascii=False))
    out.write("[]\n" if count == 0 else "\n]\n")
    return count


def _json_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN and no infinity
    return value if value is None or isinstance(value, bool | int) else text_of(value)


def _cells(row: Row) -> Iterator[Text]:
    return (Text(text_of(value)) for value in row)


def _write_table(names: Sequence[str], rows: Iterable[Row], out: TextIO) -> int:
    is_paged = out is sys.stdout and out.isatty() and sys.stdin.isatty()
    shown = _PAGED if is_paged else _SHOWN
    iterator = iter(rows)
    head = list(islice(iterator, shown))
    foot: deque[Row] = deque(maxlen=shown)
    count = len(head)
    for row in iterator:
        foot.append(row)
        count += 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(names):
        numeric = any(isinstance(row[index], int | float | Decimal) for row in head)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in head:
        table.add_row(*_cells(row))
    if count > len(head) + len(foot):
        table.add_row(*("…" for _ in names))
    for row in foot:
        table.add_row(*_cells(row))
    # The table is as wide as its content even in a narrow terminal, since cut cells would hide digits.
    width = max(Console(file=out, width=_ANY_WIDTH).measure(table).maximum, 1)
    if is_paged and count > shutil.get_terminal_size().lines - _HEAD_LINES:
        text = io.StringIO()
        Console(file=text, width=width, highlight=False, soft_wrap=True).print(table)
        # less shows long lines whole, to be moved sideways, and leaves a table that fits on the screen.
        os.environ.setdefault("LESS", "-FRSX")
        pydoc.pager(text.getvalue())
    else:
        Console(file=out, width=width, highlight=False, soft_wrap=True).print(table)
    left_out = count - len(head) - len(foot)
    if left_out:
        STDERR.print(f"{count} rows, {left_out} of them not shown; --format csv gives all")
    return count
