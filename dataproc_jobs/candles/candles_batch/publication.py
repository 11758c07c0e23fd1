"""The publication of a batch: one BigQuery transaction replaces the candles, gaps and ingests of all its days.

Part of the candles job; the driver and the tests import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery
from pyarrow import fs

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import conflict_retry, query_config, table_fields
from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.times import DAY_US, day_start_us, to_datetime
from candles_batch.task import Row

STAGE_EXPIRES_AFTER: Final = dt.timedelta(days=1)
"""Lifetime of the stage tables that a killed run left; every run takes less time."""

MOST_RANGES: Final = 50
"""Upper bound on the time ranges of a statement; BigQuery limits a statement's length and complexity."""

_KEY_AND_VALUES = [name for name in schemas.table(names.CANDLES).names if name != "updated_at"]
_INGEST_COLUMNS = ", ".join(schemas.table(names.INGESTS).names)
_GAP_COLUMNS = ", ".join(schemas.table(names.GAPS).names)

_LANDED = f"""EXISTS (
    SELECT 1 FROM `{{stage_ingests}}` AS landed
    WHERE landed.status <> '{IngestStatus.FAILED}'
      AND landed.symbol = stored.symbol AND landed.date = DATE(stored.open_time)
  )"""  # noqa: S608  # the names are our own, the values bound

_DIFFERS = f"""NOT EXISTS (
    SELECT 1 FROM `{{stage_candles}}` AS staged
    WHERE {" AND ".join(f"staged.{name} = stored.{name}" for name in _KEY_AND_VALUES)}
  )"""  # noqa: S608  # as above

_DELETE_GAPS = f"""
DELETE FROM `{names.GAPS}` AS stored
WHERE stored.source = 'archive' AND stored.symbol IN UNNEST(@symbols) AND EXISTS (
  SELECT 1 FROM `{{stage_ingests}}` AS landed
  WHERE landed.status <> '{IngestStatus.FAILED}'
    AND landed.symbol = stored.symbol AND landed.date = DATE(stored.from_time)
);"""  # noqa: S608  # as above

_INSERT_GAPS = f"""
INSERT INTO `{names.GAPS}` ({_GAP_COLUMNS}) SELECT {_GAP_COLUMNS} FROM `{{stage_gaps}}`;"""  # noqa: S608  # as above

_REPLACE_INGESTS = f"""
DELETE FROM `{names.INGESTS}` AS stored
WHERE stored.symbol IN UNNEST(@symbols) AND EXISTS (
  SELECT 1 FROM `{{stage_ingests}}` AS staged WHERE staged.symbol = stored.symbol AND staged.date = stored.date
);
INSERT INTO `{names.INGESTS}` ({_INGEST_COLUMNS}) SELECT {_INGEST_COLUMNS} FROM `{{stage_ingests}}`;"""  # noqa: S608


def publish(  # noqa: PLR0913, PLR0917  # one of each
    client: bigquery.Client,
    lake: str,
    batch_id: str,
    ingests: list[Row],
    candles: pa.Table,
    gaps: Sequence[Row] = (),
) -> None:
    """Replaces the days of `ingests` in one transaction; days with the status `failed` keep their candles and gaps.

    `lake`: the bucket that holds a temporary file. `candles`: of all days, with the columns of `candles.schema`.
    `gaps`: rows of `market.gaps`, of all days.
    """
    now = dt.datetime.now(dt.UTC)
    rows = [{**ingest, "batch_id": batch_id, "ingested_at": now.isoformat()} for ingest in ingests]
    suffix = batch_id.replace("-", "_")
    stage_candles = f"{client.project}.{names.DATASET}.stage_candles_{suffix}"
    stage_ingests = f"{client.project}.{names.DATASET}.stage_ingests_{suffix}"
    stage_gaps = f"{client.project}.{names.DATASET}.stage_gaps_{suffix}" if gaps else ""
    files = fs.GcsFileSystem()
    staging = f"{lake}/{names.staging_object(batch_id, 'candles.parquet')}"
    pq.write_table(candles, staging, filesystem=files, compression="zstd")
    table = _create_stage(client, stage_candles, names.CANDLES, now, leave_out=("updated_at",))
    config = bigquery.LoadJobConfig(schema=table.schema, source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri(f"gs://{staging}", table, job_id_prefix=f"{batch_id}-", job_config=config).result()
    staged = [(stage_ingests, names.INGESTS, rows), *([(stage_gaps, names.GAPS, list(gaps))] if gaps else [])]
    for stage, like, content in staged:
        table = _create_stage(client, stage, like, now)
        config = bigquery.LoadJobConfig(schema=table.schema, write_disposition="WRITE_TRUNCATE")
        client.load_table_from_json(content, table, job_id_prefix=f"{batch_id}-", job_config=config).result()

    ranges = time_ranges(dt.date.fromisoformat(ingest["date"]) for ingest in ingests)
    replace = replace_sql(stage_candles, stage_ingests, len(ranges), stage_gaps)
    symbols = sorted({ingest["symbol"] for ingest in ingests})
    parameters = query_config(run=batch_id, now=now, symbols=symbols, **range_parameters(ranges))
    retry = conflict_retry(maximum_s=20, timeout_s=600)
    retry(lambda: client.query(replace, job_config=parameters, job_id_prefix=f"{batch_id}-").result())()
    for stage in (stage_candles, *(stage for stage, _, _ in staged)):
        client.delete_table(stage, not_found_ok=True)
    files.delete_file(staging)


def time_ranges(days: Iterable[dt.date]) -> list[tuple[dt.datetime, dt.datetime]]:
    """The half-open ranges of time that `days` cover, in order: one per run of days, and MOST_RANGES at most.

    Where there are more runs, those with the shortest time between them are joined.
    """
    ranges: list[tuple[dt.datetime, dt.datetime]] = []
    for day in sorted(set(days)):
        start = to_datetime(day_start_us(day))
        if ranges and ranges[-1][1] == start:
            start, _ = ranges.pop()
        ranges.append((start, to_datetime(day_start_us(day) + DAY_US)))
    while len(ranges) > MOST_RANGES:
        first = min(range(len(ranges) - 1), key=lambda place: ranges[place + 1][0] - ranges[place][1])
        ranges[first : first + 2] = [(ranges[first][0], ranges[first + 1][1])]
    return ranges


def range_parameters(ranges: list[tuple[dt.datetime, dt.datetime]]) -> dict[str, dt.datetime]:
    """The values of the parameters that `replace_sql` compares with open times."""
    return {
        f"{edge}_{n}": time for n, item in enumerate(ranges) for edge, time in zip(("from", "to"), item, strict=True)
    }


def replace_sql(stage_candles: str, stage_ingests: str, ranges: int, stage_gaps: str = "") -> str:
    """The script that replaces the days of the stage tables. `ranges`: the number of time ranges that hold the days.

    `stage_gaps`: empty when no day has a gap.

    BigQuery prunes partitions by comparisons of the partitioning column with constants and parameters, not by
    subqueries or joins (cloud.google.com/bigquery/docs/querying-partitioned-tables), so the ranges stand in each
    statement.
    """
    stages = {"stage_candles": stage_candles, "stage_ingests": stage_ingests, "stage_gaps": stage_gaps}
    finish = (_DELETE_GAPS, *((_INSERT_GAPS,) if stage_gaps else ()), _REPLACE_INGESTS)
    times = (f"stored.open_time >= @from_{n} AND stored.open_time < @to_{n}" for n in range(ranges))
    return schemas.CandleReplacement(
        fresh=f"`{stage_candles}`",
        in_reach=f"stored.source = 'archive' AND stored.symbol IN UNNEST(@symbols) AND ({' OR '.join(times)})",
        replaceable=_LANDED.format(**stages),
        outdated=_DIFFERS.format(**stages),
        updated_at="@now",
        finish="".join(finish).format(**stages),
    ).sql()


def _create_stage(
    client: bigquery.Client, stage: str, like: str, now: dt.datetime, leave_out: Sequence[str] = ()
) -> bigquery.Table:
    table = bigquery.Table(stage, table_fields(like, leave_out))
    table.expires = now + STAGE_EXPIRES_AFTER
    return client.create_table(table, exists_ok=True)
