"""The publication of a batch: one BigQuery transaction replaces the candles and the ingests of all its days.

Part of the candles job; the driver and the tests import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
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
"""Lifetime of a stage table that a killed run left behind; no run takes that long."""

_KEY_AND_VALUES = [name for name in schemas.table(names.CANDLES).names if name != "updated_at"]
_INGEST_COLUMNS = ", ".join(schemas.table(names.INGESTS).names)

# Among the archive candles of the landed days, a row that differs from the staged one, or that has none, is outdated.
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


def publish(client: bigquery.Client, lake: str, batch_id: str, ingests: list[Row], candles: pa.Table) -> None:
    """Replaces the days of `ingests` in one transaction; days with the status `failed` keep their candles.

    `lake`: the bucket that holds a temporary file. `candles`: of all days, with the columns of `candles.schema`.
    """
    now = dt.datetime.now(dt.UTC)
    rows = [{**ingest, "batch_id": batch_id, "ingested_at": now.isoformat()} for ingest in ingests]
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
    client.load_table_from_json(rows, table, job_id_prefix=f"{batch_id}-", job_config=config).result()

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


def _create_stage(
    client: bigquery.Client, stage: str, like: str, now: dt.datetime, leave_out: Sequence[str] = ()
) -> bigquery.Table:
    table = bigquery.Table(stage, table_fields(like, leave_out))
    table.expires = now + STAGE_EXPIRES_AFTER
    return client.create_table(table, exists_ok=True)
