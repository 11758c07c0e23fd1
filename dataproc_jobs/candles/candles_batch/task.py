"""One symbol-day of the batch: a Spark worker reads its raw file and writes its objects to the lake.

Part of the candles job; the driver and the tests import it. It imports neither Spark nor BigQuery, so a new worker
loads neither.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from pyarrow import fs

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.arrow import write_object
from bitcoin_pipeline.amounts import from_units, plain
from bitcoin_pipeline.bybit.archive import UnusableFileError
from bitcoin_pipeline.ingests import IngestStatus, SymbolDay
from bitcoin_pipeline.times import iso
from candles_batch.candles import minute_candles
from candles_batch.parquet import trades_parquet
from candles_batch.quarantine import quarantine_lines
from candles_batch.reading import read_day

READ_BYTES: Final = 1 << 20
"""Bytes of one read from the lake."""

Row = dict[str, Any]
"""A row of `market.ingests` in JSON's types, without the columns that the publication adds."""


def load_day(item: SymbolDay, lake: str) -> tuple[Row, pa.Table | None]:
    """Reads the raw file of one symbol-day and writes its trades and its quarantine to the bucket `lake`.

    Returns the day's row of `ingests`, and its candles unless it has none. An unusable file gives a row with the status
    `failed` and changes nothing. Raises OSError when the lake itself fails, so that Spark repeats the task.
    """
    files = fs.GcsFileSystem()
    raw = f"{lake}/{names.raw_object(item.symbol, item.day)}"
    sha256, size = hashlib.sha256(), 0

    def pieces(stream: pa.NativeFile) -> Iterator[bytes]:
        nonlocal size
        while piece := stream.read(READ_BYTES):
            sha256.update(piece)
            size += len(piece)
            yield piece

    try:
        with files.open_input_stream(raw, compression=None) as stream:
            metadata = stream.metadata()
            day = read_day(pieces(stream), item.symbol, item.day)
    except FileNotFoundError:
        return _ingest(item, IngestStatus.FAILED, reason=f"no raw file: gs://{raw}"), None
    except UnusableFileError as error:
        etag = metadata.get("metadata.etag", b"").decode() or None
        return _ingest(item, IngestStatus.FAILED, reason=str(error), etag=etag), None
    figures = {
        "bytes": size,
        "sha256": sha256.hexdigest(),
        "etag": metadata.get("metadata.etag", b"").decode() or None,
        "row_count": day.rows,
        "duplicates": day.duplicates,
        "quarantined": len(day.rejected),
        "size_sum": plain(from_units(day.size_sum)),
    }
    if not day.rows:
        return clear_day(item, lake) | figures, None
    if len(day.trades):
        figures["first_time"] = iso(int(day.trades.time_us[0]))
        figures["last_time"] = iso(int(day.trades.time_us[-1]))
    _replace(files, f"{lake}/{names.trades_object(item.symbol, item.day)}", trades_parquet(day))
    _replace(files, f"{lake}/{names.quarantine_object(item.symbol, item.day)}", quarantine_lines(item, day.rejected))
    return _ingest(item, IngestStatus.LOADED, **figures), minute_candles(day)


def clear_day(item: SymbolDay, lake: str) -> Row:
    """Removes the objects that an earlier run wrote for the day; returns the row of a day without trades."""
    files = fs.GcsFileSystem()
    for name in (names.trades_object(item.symbol, item.day), names.quarantine_object(item.symbol, item.day)):
        _replace(files, f"{lake}/{name}", b"")
    return _ingest(item, IngestStatus.NO_TRADES)


def _ingest(item: SymbolDay, status: IngestStatus, **figures: Any) -> Row:
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status.value, **figures}


def _replace(files: fs.FileSystem, path: str, content: pa.Buffer | bytes) -> None:
    """Writes a whole object, or removes it when there is no content."""
    if len(content):
        write_object(files, path, content)
    else:
        with contextlib.suppress(FileNotFoundError):
            files.delete_file(path)
