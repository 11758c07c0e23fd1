"""The publication of a batch: one BigQuery transaction replaces the candles, gaps and ingests of all its days.

Part of the candles job; the driver and the tests import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from google.cloud import bigquery

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import conflict_retry, open_in_days, script_config, table_fields
from bitcoin_pipeline.ingests import IngestStatus
from candles_batch.task import Outcome

STAGE_EXPIRES_AFTER: Final = dt.timedelta(days=1)
"""Lifetime of the stage tables that a killed run left; every run takes less time."""

_KEY_AND_VALUES = [name for name in schemas.table(names.CANDLES).names if name not in ("confirmed", "updated_at")]
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


def publish(client: bigquery.Client, batch_id: str, outcomes: Sequence[Outcome]) -> None:
    """Replaces the days of `outcomes` in one transaction; days with the status `failed` keep their candles and gaps.

    A day that replaces objects of the lake is `unfinished` until they are replaced. A second call with the same
    arguments changes nothing but times.
    """
    now = dt.datetime.now(dt.UTC)
    written = {"batch_id": batch_id, "ingested_at": now.isoformat()}
    rows = [{**outcome.ingest, **written, "unfinished": True if outcome.objects else None} for outcome in outcomes]
    gaps = [gap for outcome in outcomes for gap in outcome.gaps]
    suffix = batch_id.replace("-", "_")
    stage_candles = f"{client.project}.{names.DATASET}.stage_candles_{suffix}"
    stage_ingests = f"{client.project}.{names.DATASET}.stage_ingests_{suffix}"
    stage_gaps = f"{client.project}.{names.DATASET}.stage_gaps_{suffix}" if gaps else ""
    table = _create_stage(client, stage_candles, names.CANDLES, now, leave_out=("updated_at",))
    # A list instead of a wildcard, which would include what a task left that was tried twice; a job takes 10,000 URIs
    # (cloud.google.com/bigquery/quotas).
    if uris := [f"gs://{outcome.candles}" for outcome in outcomes if outcome.candles]:
        config = bigquery.LoadJobConfig(
            schema=table.schema, source_format="PARQUET", write_disposition="WRITE_TRUNCATE"
        )
        client.load_table_from_uri(uris, table, job_id_prefix=f"{batch_id}-", job_config=config).result()
    staged = [(stage_ingests, names.INGESTS, rows), *([(stage_gaps, names.GAPS, gaps)] if gaps else [])]
    for stage, like, content in staged:
        table = _create_stage(client, stage, like, now)
        config = bigquery.LoadJobConfig(schema=table.schema, write_disposition="WRITE_TRUNCATE")
        client.load_table_from_json(content, table, job_id_prefix=f"{batch_id}-", job_config=config).result()

    in_days, times = open_in_days(dt.date.fromisoformat(row["date"]) for row in rows)
    replace = replace_sql(stage_candles, stage_ingests, in_days, stage_gaps)
    symbols = sorted({row["symbol"] for row in rows})
    parameters = script_config(run=batch_id, now=now, symbols=symbols, **times)
    retry = conflict_retry(maximum_s=20, timeout_s=600)
    retry(lambda: client.query(replace, job_config=parameters, job_id_prefix=f"{batch_id}-").result())()
    for stage in (stage_candles, *(stage for stage, _, _ in staged)):
        client.delete_table(stage, not_found_ok=True)


def replace_sql(stage_candles: str, stage_ingests: str, in_days: str, stage_gaps: str = "") -> str:
    """The script that replaces the days of the stage tables.

    `in_days`: the condition that selects the days' partitions. `stage_gaps`: empty when no day has a gap.
    """
    stages = {"stage_candles": stage_candles, "stage_ingests": stage_ingests, "stage_gaps": stage_gaps}
    finish = (_DELETE_GAPS, *((_INSERT_GAPS,) if stage_gaps else ()), _REPLACE_INGESTS)
    return schemas.CandleReplacement(
        fresh=f"`{stage_candles}`",
        in_reach=f"stored.source = 'archive' AND stored.symbol IN UNNEST(@symbols) AND ({in_days})",
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
