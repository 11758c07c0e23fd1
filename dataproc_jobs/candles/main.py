"""The candles job: one Spark batch that turns archive files into Parquet trades and into candles in BigQuery.

A Dataproc batch runs this file; nobody imports it. A Spark task is one symbol-day: its worker streams the raw file,
writes the trades, and hands only candles and figures back. The driver then replaces all landed days in one BigQuery
transaction. Every step replaces its own earlier result, so that a run may be killed anywhere and repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery
from pyarrow import fs
from pyspark.sql import SparkSession

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.arrow import table_schema
from bitcoin_pipeline.adapters.bigquery import conflict_retry, query_config, table_fields
from bitcoin_pipeline.amounts import from_units, plain
from bitcoin_pipeline.bybit.archive import RejectedRow, UnusableFileError
from bitcoin_pipeline.ingests import IngestStatus, SymbolDay, parse_symbol_day
from bitcoin_pipeline.times import DAY_US, day_start_us, iso, to_datetime
from candles_batch import transforms

READ_BYTES: Final = 1 << 20

STAGE_EXPIRES_AFTER: Final = dt.timedelta(days=1)
"""A run that is killed leaves its stage tables behind; no run takes this long."""

Row = dict[str, Any]
"""A row of `market.ingests`, as JSON has it."""

_KEY_AND_VALUES = [name for name in schemas.table(names.CANDLES).names if name != "updated_at"]
_INGEST_COLUMNS = ", ".join(schemas.table(names.INGESTS).names)

# Of the archive candles that this run may touch, those go that it does not confirm: changed, or vanished.
_REPLACE_CANDLES = schemas.replace_candles_sql(
    fresh="`{stage_candles}`",
    in_reach="""stored.source = 'archive' AND stored.symbol IN UNNEST(@symbols)
    AND stored.open_time >= @from_time AND stored.open_time < @to_time""",
    outdated=f"""EXISTS (
    SELECT 1 FROM `{{stage_ingests}}` AS landed
    WHERE landed.status <> '{IngestStatus.FAILED}'
      AND landed.symbol = stored.symbol AND landed.date = DATE(stored.open_time)
  )
  AND NOT EXISTS (
    SELECT 1 FROM `{{stage_candles}}` AS staged
    WHERE {" AND ".join(f"staged.{name} = stored.{name}" for name in _KEY_AND_VALUES)}
  )""",  # noqa: S608  # the names are our own, the values bound
    updated_at="@now",
)

_REPLACE = f"""
BEGIN TRANSACTION;
{_REPLACE_CANDLES}
DELETE FROM `{names.INGESTS}` AS stored
WHERE stored.symbol IN UNNEST(@symbols) AND EXISTS (
  SELECT 1 FROM `{{stage_ingests}}` AS staged WHERE staged.symbol = stored.symbol AND staged.date = stored.date
);
INSERT INTO `{names.INGESTS}` ({_INGEST_COLUMNS}) SELECT {_INGEST_COLUMNS} FROM `{{stage_ingests}}`;
COMMIT TRANSACTION;
"""  # noqa: S608  # the names are our own, the values bound


def main() -> None:
    """Load the days named in the arguments, and record those without trades."""
    options = _options()
    load = sorted(set(options.day))
    no_trades = sorted(set(options.no_trades) - set(load))
    started = time.monotonic()
    _log("batch started", batch_id=options.batch_id, days=len(load), no_trades=len(no_trades))
    spark = SparkSession.builder.appName("candles").getOrCreate()
    tasks = spark.sparkContext.parallelize(load, max(len(load), 1))
    outcomes: list[tuple[Row, pa.Table | None]] = tasks.map(partial(load_day, lake=options.lake)).collect()
    ingests = [ingest for ingest, _ in outcomes] + [clear_day(item, options.lake) for item in no_trades]
    candles = pa.concat_tables([_no_candles(), *(table for _, table in outcomes if table is not None)])
    _log("days read", batch_id=options.batch_id, seconds=round(time.monotonic() - started, 1), **_figures(ingests))
    publish(bigquery.Client(options.project), options.lake, options.batch_id, ingests, candles)
    seconds = round(time.monotonic() - started, 1)
    _log("batch finished", batch_id=options.batch_id, candles=candles.num_rows, seconds=seconds)
    spark.stop()


def load_day(item: SymbolDay, lake: str) -> tuple[Row, pa.Table | None]:
    """What became of one symbol-day, and its candles; runs in a Spark worker and writes the day's objects.

    A file that cannot be used is an outcome (`failed`) and changes nothing; trouble with the lake itself raises
    OSError, so that Spark tries again.
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
            day = transforms.read_day(pieces(stream), item.symbol, item.day)
    except FileNotFoundError:
        return _ingest(item, IngestStatus.FAILED, reason=f"no raw file: gs://{raw}"), None
    except UnusableFileError as error:
        return _ingest(item, IngestStatus.FAILED, reason=str(error)), None
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
    _write(files, f"{lake}/{names.trades_object(item.symbol, item.day)}", transforms.trades_parquet(day))
    _write(files, f"{lake}/{names.quarantine_object(item.symbol, item.day)}", _quarantine(item, day.rejected))
    return _ingest(item, IngestStatus.LOADED, **figures), transforms.candles(day)


def clear_day(item: SymbolDay, lake: str) -> Row:
    """The row of a day without trades; what an earlier run wrote for it is gone after this."""
    files = fs.GcsFileSystem()
    for name in (names.trades_object(item.symbol, item.day), names.quarantine_object(item.symbol, item.day)):
        _write(files, f"{lake}/{name}", b"")
    return _ingest(item, IngestStatus.NO_TRADES)


def publish(client: bigquery.Client, lake: str, batch_id: str, ingests: list[Row], candles: pa.Table) -> None:
    """Replace the days of `ingests` in BigQuery in one transaction; days that failed keep their candles."""
    now = dt.datetime.now(dt.UTC)
    for ingest in ingests:
        ingest |= {"batch_id": batch_id, "ingested_at": now.isoformat()}
    suffix = batch_id.replace("-", "_")
    stage_candles = f"{client.project}.{names.DATASET}.stage_candles_{suffix}"
    stage_ingests = f"{client.project}.{names.DATASET}.stage_ingests_{suffix}"
    files = fs.GcsFileSystem()
    staging = f"{lake}/{names.staging_object(batch_id, 'candles.parquet')}"
    pq.write_table(candles, staging, filesystem=files, compression="zstd")
    table = _create_stage(client, stage_candles, names.CANDLES, now, leave_out=("updated_at",))
    config = bigquery.LoadJobConfig(schema=table.schema, source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri(f"gs://{staging}", table, job_id_prefix=f"{batch_id}-", job_config=config).result()
    table = _create_stage(client, stage_ingests, names.INGESTS, now)
    config = bigquery.LoadJobConfig(schema=table.schema, write_disposition="WRITE_TRUNCATE")
    client.load_table_from_json(ingests, table, job_id_prefix=f"{batch_id}-", job_config=config).result()

    days = sorted(dt.date.fromisoformat(ingest["date"]) for ingest in ingests)
    parameters = query_config(
        run=batch_id,
        now=now,
        from_time=to_datetime(day_start_us(days[0])),
        to_time=to_datetime(day_start_us(days[-1]) + DAY_US),
        symbols=sorted({ingest["symbol"] for ingest in ingests}),
    )
    replace = _REPLACE.format(stage_candles=stage_candles, stage_ingests=stage_ingests)
    retry = conflict_retry(maximum_s=20, timeout_s=600)
    retry(lambda: client.query(replace, job_config=parameters, job_id_prefix=f"{batch_id}-").result())()
    for stage in (stage_candles, stage_ingests):
        client.delete_table(stage, not_found_ok=True)
    files.delete_file(staging)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="candles", description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--lake", required=True, help="bucket")
    parser.add_argument("--batch-id", required=True)
    for name, meaning in (("--day", "a day whose raw file is in the lake"), ("--no-trades", "a day without a file")):
        parser.add_argument(
            name, type=parse_symbol_day, action="append", default=[], metavar="SYMBOL:DATE", help=meaning
        )
    options = parser.parse_args()
    if not options.day and not options.no_trades:
        parser.error("nothing to do: name a --day or a day of --no-trades")
    return options


def _ingest(item: SymbolDay, status: IngestStatus, **figures: Any) -> Row:
    return {"symbol": item.symbol, "date": item.day.isoformat(), "status": status.value, **figures}


def _quarantine(item: SymbolDay, rejected: list[RejectedRow]) -> bytes:
    """The rejected rows of a day, one JSON object a line."""
    day = {"symbol": item.symbol, "date": item.day.isoformat()}
    lines = (json.dumps({**day, "row": row.row, "reason": row.reason, "text": row.text}) for row in rejected)
    return "".join(f"{line}\n" for line in lines).encode()


def _write(files: fs.FileSystem, path: str, content: pa.Buffer | bytes) -> None:
    """Put a whole object, or remove it when there is no content."""
    if len(content):
        # One write: an object appears when its stream is closed, whatever has reached it by then.
        with files.open_output_stream(path, compression=None) as stream:
            stream.write(content)
    else:
        with contextlib.suppress(FileNotFoundError):
            files.delete_file(path)


def _no_candles() -> pa.Table:
    return table_schema(names.CANDLES, leave_out=("updated_at",)).empty_table()


def _create_stage(
    client: bigquery.Client, stage: str, like: str, now: dt.datetime, leave_out: Sequence[str] = ()
) -> bigquery.Table:
    table = bigquery.Table(stage, table_fields(like, leave_out))
    table.expires = now + STAGE_EXPIRES_AFTER
    return client.create_table(table, exists_ok=True)


def _figures(ingests: list[Row]) -> Row:
    by_status = {status.value: sum(ingest["status"] == status.value for ingest in ingests) for status in IngestStatus}
    sums = {key: sum(ingest.get(key, 0) for ingest in ingests) for key in ("row_count", "duplicates", "quarantined")}
    return {**by_status, **sums}


def _log(event: str, **figures: Any) -> None:
    print(json.dumps({"event": event, **figures}), flush=True)  # noqa: T201  # Dataproc keeps the driver's output


if __name__ == "__main__":
    main()
