"""BigQuery as the function `publish_live` uses it: the newest published rows, and the merge of changed ones.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any, Final

from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import (
    conflict_retry,
    open_in_days,
    query_config,
    retryable_failures,
    script_config,
)
from bitcoin_pipeline.amounts import plain
from publish_live.rows import Row, RowVersion

RECENT: Final = dt.timedelta(days=8)
"""Age of the oldest candle that Flink can still change: the lifetime of its state. Older partitions are not read."""

RETRY: Final = DEFAULT_RETRY.with_timeout(10)
"""Repeats a request that BigQuery's server did not answer, for ten seconds."""

REQUEST_TIMEOUT_S: Final = 60
"""Time limit of one request to BigQuery's server."""

QUERY_TIMEOUT_S: Final = 100
"""Time limit of one BigQuery job, after which the call answers 503."""

CONFLICT_TIMEOUT_S: Final = 60
"""Time for which a merge that loses conflicts is repeated, after which the call answers 503."""

MERGE_TIMEOUT_S: Final = CONFLICT_TIMEOUT_S + REQUEST_TIMEOUT_S + 10 + QUERY_TIMEOUT_S
"""Upper bound on the time of one merge: its last try begins CONFLICT_TIMEOUT_S after the first."""

JOB_KIND: Final = "publish-live"
"""Prefix of the ids of the function's BigQuery jobs."""

_FIELDS: Final = {field["name"]: field["type"] for field in schemas.table(names.CANDLES).fields}
_KEY: Final = ("symbol", "open_time", "source")
_SQL_TYPES: Final = {"INTEGER": "INT64", "BOOLEAN": "BOOL"}
_CASTS: Final = ", ".join(
    f"CAST(JSON_VALUE(item, '$.{name}') AS {_SQL_TYPES.get(kind, kind)}) AS {name}" for name, kind in _FIELDS.items()
)
# A row whose `confirmed` alone has changed replaces the stored one, which the history then does not keep.
_VALUES: Final = [name for name in _FIELDS if name not in (*_KEY, "confirmed", "updated_at")]

_PUBLISHED: Final = f"""
SELECT symbol, open_time, updated_at FROM `{names.CANDLES}`
WHERE source = 'live' AND open_time >= @since
QUALIFY updated_at > TIMESTAMP_SUB(MAX(updated_at) OVER (), INTERVAL @overlap_s SECOND)
"""  # noqa: S608  # the names are our own, the values bound

_HELD: Final = f"""
SELECT symbol, open_time, updated_at FROM `{names.CANDLES}`
WHERE source = 'live' AND open_time >= @first AND open_time <= @last
"""  # noqa: S608  # the names are our own, the values bound

_NEWER: Final = f"""EXISTS (
  SELECT 1 FROM fresh AS new
  WHERE {" AND ".join(f"new.{name} = stored.{name}" for name in _KEY)} AND new.updated_at > stored.updated_at
    {{more}}
)"""  # noqa: S608  # the names are our own, the values bound
_CHANGES: Final = " OR ".join(f"new.{name} IS DISTINCT FROM stored.{name}" for name in _VALUES)


def published_versions(warehouse: bigquery.Client, now: dt.datetime, overlap: dt.timedelta) -> set[RowVersion]:
    """The versions of the live rows whose `updated_at` is within `overlap` of the newest one.

    Every older row of Postgres has been published. Raises RetryableError.
    """
    for since in (now - RECENT, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)):  # all candles only after a long absence
        config = query_config(since=since, overlap_s=int(overlap.total_seconds()))
        with retryable_failures():
            rows = _query(warehouse, _PUBLISHED, config)
        if rows:
            return {(row["symbol"], row["open_time"], row["updated_at"]) for row in rows}
    return set()


def held_versions(warehouse: bigquery.Client, first: dt.datetime, last: dt.datetime) -> set[RowVersion]:
    """The versions of the live rows that open from `first` to `last`, both included. Raises RetryableError."""
    with retryable_failures():
        rows = _query(warehouse, _HELD, query_config(first=first, last=last))
    return {(row["symbol"], row["open_time"], row["updated_at"]) for row in rows}


def merge(warehouse: bigquery.Client, rows: list[Row], now: dt.datetime) -> None:
    """Inserts the rows, or replaces older rows by them, in one transaction; older values go into the history.

    A repeated or delayed merge of the same rows changes nothing, because an older row never replaces a newer one.
    Raises RetryableError, also when other transactions conflict for longer than CONFLICT_TIMEOUT_S.
    """
    in_days, times = open_in_days(row["open_time"].date() for row in rows)
    run = f"{JOB_KIND}-{uuid.uuid4()}"
    config = script_config(rows=json.dumps(rows, default=_text), now=now, run=run, **times)
    script = merge_sql(in_days)
    again = conflict_retry(maximum_s=10, timeout_s=CONFLICT_TIMEOUT_S)
    with retryable_failures():
        again(lambda: _query(warehouse, script, config, job_id_prefix=f"{run}-"))()


def merge_sql(in_days: str) -> str:
    """The script that merges the rows in its parameter `rows`. `in_days`: the condition on a row of their days."""
    in_reach = f"stored.source = 'live' AND ({in_days})"
    # Of rows that are stored more than once, the newest version of each key is published anew with the changed rows.
    fresh = f"""
CREATE TEMP TABLE fresh AS
SELECT * FROM (
  SELECT {_CASTS} FROM UNNEST(JSON_QUERY_ARRAY(@rows)) AS item
  UNION ALL
  SELECT {", ".join(_FIELDS)} FROM `{names.CANDLES}` AS stored
  WHERE ({in_reach}) AND {schemas.doubled_candle_sql(in_reach)}
)
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY {", ".join(_KEY)} ORDER BY updated_at DESC) = 1;"""  # noqa: S608  # as above
    return schemas.CandleReplacement(
        fresh="fresh",
        in_reach=in_reach,
        outdated=_NEWER.format(more=""),
        kept=_NEWER.format(more=f"AND ({_CHANGES})"),
        updated_at="updated_at",
        prepare=fresh,
    ).sql()


def _query(warehouse: bigquery.Client, query: str, config: bigquery.QueryJobConfig, **options: Any) -> list[Any]:
    job = warehouse.query(query, job_config=config, retry=RETRY, job_retry=None, timeout=REQUEST_TIMEOUT_S, **options)
    return list(job.result(retry=RETRY, job_retry=None, timeout=QUERY_TIMEOUT_S))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else plain(value)
