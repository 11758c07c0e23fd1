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
from bitcoin_pipeline.adapters.bigquery import conflict_retry, open_in_days, script_config, table_fields
from bitcoin_pipeline.ingests import IngestStatus
from candles_batch.task import Row

STAGE_EXPIRES_AFTER: Final = dt.timedelta(days=1)
"""Lifetime of the stage tables that a killed run left; every run takes less time."""

_KEY_AND_VALUES = [name for name in schemas.table(names.CANDLES).names if name != "updated_at"]
_INGEST_COLUMNS = ", ".join(schemas.table(names.INGESTS).names)

_LANDED = f"""EXISTS (
    SELECT 1 FROM `{{stage_ingests}}` AS landed
    WHERE landed.status <> '{IngestStatus.FAILED}'
      AND landed.symbol = stored.symbol AND landed.date = DATE(stored.open_time)
  )"""  # noqa: S608  # the names are our own, the values bound

_DIFFERS = f"""NOT EXISTS (
    SELECT 1 FROM `{{stage_candles}}` AS staged
    WHERE {" AND ".join(f"staged.{name} = stored.{name}" for name in _KEY_AND_VALUES)}
  )"""  # noqa: S608  # as above

_REPLACE_INGESTS = f"""
DELETE FROM `{names.INGESTS}` AS stored
WHERE stored.symbol IN UNNEST(@symbols) AND EXISTS (
  SELECT 1 FROM `{{stage_ingests}}` AS staged WHERE staged.symbol = stored.symbol AND staged.date = stored.date
);
INSERT INTO `{names.INGESTS}` ({_INGEST_COLUMNS}) SELECT {_INGEST_COLUMNS} FROM `{{stage_ingests}}`;"""  # noqa: S608


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

    in_days, times = open_in_days(dt.date.fromisoformat(ingest["date"]) for ingest in ingests)
    replace = replace_sql(stage_candles, stage_ingests, in_days)
    symbols = sorted({ingest["symbol"] for ingest in ingests})
    parameters = script_config(run=batch_id, now=now, symbols=symbols, **times)
    retry = conflict_retry(maximum_s=20, timeout_s=600)
    retry(lambda: client.query(replace, job_config=parameters, job_id_prefix=f"{batch_id}-").result())()
    for stage in (stage_candles, stage_ingests):
        client.delete_table(stage, not_found_ok=True)
    files.delete_file(staging)


def replace_sql(stage_candles: str, stage_ingests: str, in_days: str) -> str:
    """The script that replaces the days of two stage tables. `in_days`: the condition that selects their partitions."""
    stages = {"stage_candles": stage_candles, "stage_ingests": stage_ingests}
    return schemas.CandleReplacement(
        fresh=f"`{stage_candles}`",
        in_reach=f"stored.source = 'archive' AND stored.symbol IN UNNEST(@symbols) AND ({in_days})",
        replaceable=_LANDED.format(**stages),
        outdated=_DIFFERS.format(**stages),
        updated_at="@now",
        finish=_REPLACE_INGESTS.format(**stages),
    ).sql()


def _create_stage(
    client: bigquery.Client, stage: str, like: str, now: dt.datetime, leave_out: Sequence[str] = ()
) -> bigquery.Table:
    table = bigquery.Table(stage, table_fields(like, leave_out))
    table.expires = now + STAGE_EXPIRES_AFTER
    return client.create_table(table, exists_ok=True)
