"""One symbol-day of the batch: a Spark worker reads its raw file and writes its candles and objects to the staging.

Part of the candles job; the driver and the tests import it. It imports neither Spark nor BigQuery, so a new worker
loads neither.
"""

from __future__ import annotations

import hashlib
import traceback
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from bitcoin_pipeline import names
from bitcoin_pipeline.adapters.arrow import write_object
from bitcoin_pipeline.amounts import from_units, plain
from bitcoin_pipeline.bybit.archive import Codec, UnusableFileError
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit, count_unplaced, count_zero_size, unknown_form
from bitcoin_pipeline.ingests import IngestStatus, SymbolDay
from bitcoin_pipeline.times import iso
from candles_batch.candles import gap_rows, minute_candles
from candles_batch.columns import Day
from candles_batch.inflating import fastest_codec
from candles_batch.parquet import trades_parquet
from candles_batch.quarantine import quarantine_lines
from candles_batch.reading import read_day

READ_BYTES: Final = 1 << 20
"""Bytes of one read from the lake."""

Row = dict[str, Any]
"""A row of a table in JSON's types, without the columns that the publication adds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the batch publishes of one symbol-day.

    `ingest`: the row of `market.ingests`. `candles`: the staged Parquet object (BUCKET/NAME) of its `candle_count`
    candles, empty for a day that has none, and for one that failed. `gaps`: the rows of `market.gaps`. `objects`: the
    objects of the lake that the day replaces once it is published, each with the staged object that takes its place,
    empty for one that is removed.
    """

    ingest: Row
    candles: str = ""
    candle_count: int = 0
    gaps: tuple[Row, ...] = ()
    objects: Mapping[str, str] = field(default_factory=dict)


def load_day(item: SymbolDay, lake: str, staging: str, limit: RejectionLimit) -> Outcome:
    """Reads the raw file of one symbol-day from the bucket `lake`; writes its results to the folder `staging`.

    `staging`: BUCKET/NAME. Staged names contain the version of the file, so two tries of a task, of which a later one
    reads a revised file, do not replace each other's objects.

    A file that is unusable, or in an unknown form by `limit`, and any error of this day alone give the status `failed`
    with the reason; the day's trades in the lake stay as they are. Raises the errors of the lake itself, OSError or
    ArrowException.
    """
    files = fs.GcsFileSystem()
    figures: Row = {}
    try:
        day = _read(files, f"{lake}/{names.raw_object(item.symbol, item.day)}", item, figures)
        form = unknown_form(day.rejected, day.rows, limit)
        if form is None:
            return _write(files, staging, item, day, figures)
        objects = _quarantine(files, staging, item, day, figures)
        return replace(failed_day(item, form, **figures), objects=objects)
    except UnusableFileError as error:
        reason = str(error)
    except Exception as error:
        if _is_of_the_lake(error):
            raise
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"[:1000]
        # Without the file's version the planner loads the day again: another run may succeed on the same file.
        figures = {name: value for name, value in figures.items() if name not in ("sha256", "etag")}
    return failed_day(item, reason, **figures)


def failed_day(item: SymbolDay, reason: str, **figures: Any) -> Outcome:
    """The outcome of a day that failed; without its file's version among `figures` a later batch loads it again."""
    return Outcome(_ingest(item, IngestStatus.FAILED, **figures, reason=reason))


def empty_day(item: SymbolDay) -> Outcome:
    """The outcome of a day without trades, which removes the objects that an earlier batch wrote for it."""
    stale = (names.trades_object(item.symbol, item.day), names.quarantine_object(item.symbol, item.day))
    return Outcome(_ingest(item, IngestStatus.NO_TRADES), objects=dict.fromkeys(stale, ""))


def _read(files: fs.FileSystem, raw: str, item: SymbolDay, figures: Row) -> Day:
    """The content of the raw file; adds its version and its counts to `figures`. Raises UnusableFileError."""
    codec = fastest_codec()
    try:
        return _read_by(codec, files, raw, item, figures)
    except UnusableFileError:
        if codec is zlib:
            raise
        return _read_by(zlib, files, raw, item, figures)


def _read_by(codec: Codec, files: fs.FileSystem, raw: str, item: SymbolDay, figures: Row) -> Day:
    sha256, size = hashlib.sha256(), 0

    def pieces(stream: pa.NativeFile) -> Iterator[bytes]:
        nonlocal size
        while piece := stream.read(READ_BYTES):
            sha256.update(piece)
            size += len(piece)
            yield piece
        figures.update(bytes=size, sha256=sha256.hexdigest())

    try:
        stream = files.open_input_stream(raw, compression=None)
    except FileNotFoundError:
        raise UnusableFileError(f"no raw file: gs://{raw}") from None
    with stream:
        figures["etag"] = stream.metadata().get("metadata.etag", b"").decode() or None
        content = pieces(stream)
        try:
            day = read_day(content, item.symbol, item.day, codec)
        except UnusableFileError:
            deque(content, 0)  # the version of an unusable file is recorded as well
            raise
    zero_size = count_zero_size(day.rejected)
    figures.update(
        row_count=day.rows,
        duplicates=day.duplicates,
        quarantined=len(day.rejected) - zero_size,
        zero_size_rows=zero_size,
        unplaced_rows=count_unplaced(day.rejected),
        size_sum=plain(from_units(day.size_sum)),
    )
    return day


def _write(files: fs.FileSystem, staging: str, item: SymbolDay, day: Day, figures: Row) -> Outcome:
    if not day.rows:
        empty = empty_day(item)
        return replace(empty, ingest=empty.ingest | figures)
    candles, gaps = minute_candles(day), gap_rows(day)  # before the Parquet file, which is memory too
    parquet = trades_parquet(day)
    if len(day.trades):
        figures["first_time"] = iso(int(day.trades.time_us[0]))
        figures["last_time"] = iso(int(day.trades.time_us[-1]))
    prefix = _prefix(staging, item, figures)
    trades = {names.trades_object(item.symbol, item.day): _staged(files, f"{prefix}-trades.parquet", parquet)}
    return Outcome(
        _ingest(item, IngestStatus.LOADED, **figures),
        _staged(files, f"{prefix}-candles.parquet", _parquet(candles)) if candles.num_rows else "",
        candles.num_rows,
        tuple(gaps),
        trades | _quarantine(files, staging, item, day, figures),
    )


def _quarantine(files: fs.FileSystem, staging: str, item: SymbolDay, day: Day, figures: Row) -> dict[str, str]:
    """The object of the day's rejected rows in the lake, with the staged one that takes its place."""
    lines = quarantine_lines(item, day.rejected)
    path = f"{_prefix(staging, item, figures)}-quarantine.jsonl"
    return {names.quarantine_object(item.symbol, item.day): _staged(files, path, lines) if lines else ""}


def _prefix(staging: str, item: SymbolDay, figures: Row) -> str:
    return f"{staging}/{item.symbol}-{item.day.isoformat()}-{figures['sha256'][:16]}"


def _parquet(candles: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(candles, sink, compression="zstd")
    return sink.getvalue()


def _staged(files: fs.FileSystem, path: str, content: pa.Buffer | bytes) -> str:
    write_object(files, path, content)
    return path


def _ingest(item: SymbolDay, status: IngestStatus, **figures: Any) -> Row:
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status.value, **figures}


def _is_of_the_lake(error: Exception) -> bool:
    """True for an error of the bucket or of the way to it; pyarrow raises some of Google's as other types than OSError.

    Source: `ToArrowStatus` in Arrow's `gcsfs_internal.cc`: RESOURCE_EXHAUSTED, CANCELLED and UNKNOWN are not OSErrors.
    """
    return isinstance(error, OSError) or (isinstance(error, pa.ArrowException) and "google::cloud::" in str(error))
