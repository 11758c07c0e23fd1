"""The Cloud Function `publish_live`: brings the live candles that have changed from Postgres into `market.candles`.

`POST`, no body, every two minutes. 200 with figures: `sent` rows, `until` when they were written in Postgres, `more`
when the rest is left to the next call, `busy` when another call is at work. 503: Postgres or BigQuery is away, try
again. An entry point; nobody imports it but its tests.

It has no state of its own. A row in BigQuery keeps Postgres' `updated_at`, so the newest one there tells where the
last call stopped, and a row is replaced by a newer one only. Any call may be killed anywhere or repeated.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

import flask
import psycopg
from google.api_core import exceptions as google_errors
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from psycopg.rows import dict_row

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.adapters.bigquery import conflict_retry, query_config, retryable_failures
from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.errors import RetryableError
from bitcoin_pipeline.settings import read_settings, setting

OVERLAP: Final = dt.timedelta(minutes=10)
"""How late a transaction may commit after it wrote `updated_at`. Flink's flush takes well below a second; one that
hangs is ended with its checkpoint, whose time limit is Flink's default of 10 minutes. Costs ten rows a symbol."""

RECENT: Final = dt.timedelta(days=8)
"""Candles that Flink can still change: the life of its state. Older partitions are not read to see where we are."""

ROWS_PER_TRANSACTION: Final = 2000
"""They travel as one bound parameter, some 450 bytes each; a request may have 10 MB."""

ROWS_PER_CALL: Final = 20_000
"""Ten transactions: a call ends in good time, and two minutes of live candles are some ten rows."""

GOOGLE_RETRY: Final = DEFAULT_RETRY.with_timeout(10)
QUERY_TIMEOUT_S: Final = 120
CONFLICT_TIMEOUT_S: Final = 60
LOCK: Final = 0x7075626C697665
"""Of Postgres' advisory locks, the one that a call holds; it falls with the connection."""
JOB_KIND: Final = "publish-live"

Row = dict[str, Any]
"""A row of Postgres' candles."""
Version = tuple[str, dt.datetime, dt.datetime]
"""Symbol, open time, updated_at: with the latter the same, the row is the same."""

_FIELDS = {field["name"]: field["type"] for field in schemas.table(names.CANDLES).fields}
_COLUMNS = ", ".join(_FIELDS)
_KEY = ("symbol", "open_time", "source")
_SQL_TYPES = {"INTEGER": "INT64"}
_CASTS = ", ".join(
    f"CAST(JSON_VALUE(item, '$.{name}') AS {_SQL_TYPES.get(kind, kind)}) AS {name}" for name, kind in _FIELDS.items()
)
_VALUES = [name for name in _FIELDS if name not in (*_KEY, "updated_at")]

_CHANGED = f"""
SELECT {_COLUMNS} FROM candles
WHERE source = 'live' AND status <> 'forming'
  -- Should the newest row in BigQuery come from a clock that ran ahead, time goes on from here.
  AND updated_at > LEAST(%(mark)s, clock_timestamp()) - %(overlap)s
ORDER BY updated_at, symbol, open_time
"""  # noqa: S608  # the names are our own, the values bound

_PUBLISHED = f"""
SELECT symbol, open_time, updated_at FROM `{names.CANDLES}`
WHERE source = 'live' AND open_time >= @since
QUALIFY updated_at > TIMESTAMP_SUB(MAX(updated_at) OVER (), INTERVAL @overlap_s SECOND)
"""  # noqa: S608  # the names are our own, the values bound

_NEWER = f"""EXISTS (
  SELECT 1 FROM fresh AS new
  WHERE {" AND ".join(f"new.{name} = stored.{name}" for name in _KEY)} AND new.updated_at > stored.updated_at
    {{more}}
)"""  # noqa: S608  # the names are our own, the values bound
_CHANGES = " OR ".join(f"new.{name} IS DISTINCT FROM stored.{name}" for name in _VALUES)
_REPLACE = schemas.replace_candles_sql(
    fresh="fresh",
    in_reach="stored.source = 'live' AND stored.open_time >= @start AND stored.open_time <= @end",
    outdated=_NEWER.format(more=""),
    kept=_NEWER.format(more=f"AND ({_CHANGES})"),
    updated_at="updated_at",
)

# BigQuery has no unique keys; LOCK sees to it that one call at a time gets here. Conflicts are with the batch job.
_MERGE = f"""
CREATE TEMP TABLE fresh AS
SELECT {_CASTS}
FROM UNNEST(JSON_QUERY_ARRAY(@rows)) AS item;
BEGIN TRANSACTION;
{_REPLACE}
COMMIT TRANSACTION;
"""  # noqa: S608  # the names are our own, the values bound


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment decides; libpq reads PGHOST and its like itself, here they are only missed in time."""

    project: str = setting("GOOGLE_CLOUD_PROJECT", "the project of the dataset market")
    postgres_host: str = setting("PGHOST", "Postgres' address")
    postgres_user: str = setting("PGUSER", "Postgres' user, who may read candles")
    postgres_database: str = setting("PGDATABASE", "Postgres' database")


def publish(warehouse: bigquery.Client, now: dt.datetime) -> Row:
    """Publish what has changed since the last call, at most ROWS_PER_CALL rows; the answer's figures.

    Raises RetryableError when Postgres or BigQuery is away, or when the batch job does not let BigQuery go.
    """
    sent, until, more = 0, None, False
    with _postgres_may_fail(), _connect() as postgres:
        if not _only_caller(postgres):
            return {"sent": 0, "until": None, "more": False, "busy": True}
        _await_killed_call(warehouse, now)
        published = _published(warehouse, now)
        changed = (row for row in _changed(postgres, published) if _version(row) not in published)
        while rows := list(islice(changed, ROWS_PER_TRANSACTION)):
            if sent >= ROWS_PER_CALL:
                more = True
                break
            _merge(warehouse, rows, now)
            sent += len(rows)
            until = rows[-1]["updated_at"].isoformat()
    return {"sent": sent, "until": until, "more": more, "busy": False}


def _connect() -> psycopg.Connection[Row]:
    # Times in UTC whatever the server's zone; no statement of ours takes long.
    options = "-c timezone=UTC -c statement_timeout=60000"
    return psycopg.connect("", connect_timeout=10, options=options, row_factory=dict_row)


def _only_caller(postgres: psycopg.Connection[Row]) -> bool:
    row = postgres.execute("SELECT pg_try_advisory_lock(%s) AS is_ours", (LOCK,)).fetchone()
    return row is not None and bool(row["is_ours"])


def _await_killed_call(warehouse: bigquery.Client, now: dt.datetime) -> None:
    """Let a transaction end whose caller was killed: the lock fell with it, the job runs on."""
    with retryable_failures():
        jobs = warehouse.list_jobs(
            state_filter="running", min_creation_time=now - dt.timedelta(hours=6), retry=GOOGLE_RETRY, timeout=30
        )
        for job in jobs:
            if job.job_id.startswith(JOB_KIND):
                try:
                    job.result(retry=GOOGLE_RETRY, timeout=QUERY_TIMEOUT_S)
                except google_errors.GoogleAPICallError:
                    if job.state != "DONE":  # else it has ended without effect, which is as good
                        raise


def _published(warehouse: bigquery.Client, now: dt.datetime) -> set[Version]:
    """The newest versions in BigQuery, OVERLAP deep; every older one that Postgres had is there, too."""
    for since in (now - RECENT, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)):  # the second after a long absence
        config = query_config(since=since, overlap_s=int(OVERLAP.total_seconds()))
        if rows := _query(warehouse, _PUBLISHED, config):
            return {(row["symbol"], row["open_time"], row["updated_at"]) for row in rows}
    return set()


def _changed(postgres: psycopg.Connection[Row], published: Iterable[Version]) -> Iterator[Row]:
    """Postgres' rows that may not be in BigQuery yet, in the order in which they were written."""
    mark = max((updated_at for _, _, updated_at in published), default=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    with postgres.cursor(name="changed") as cursor:
        cursor.itersize = ROWS_PER_TRANSACTION
        yield from cursor.execute(_CHANGED, {"mark": mark, "overlap": OVERLAP})


def _version(row: Row) -> Version:
    return row["symbol"], row["open_time"], row["updated_at"]


def _merge(warehouse: bigquery.Client, rows: list[Row], now: dt.datetime) -> None:
    times = [row["open_time"] for row in rows]
    run = f"{JOB_KIND}-{uuid.uuid4()}"
    config = query_config(rows=json.dumps(rows, default=_text), start=min(times), end=max(times), now=now, run=run)
    again = conflict_retry(maximum_s=10, timeout_s=CONFLICT_TIMEOUT_S)
    with retryable_failures():
        again(lambda: _query(warehouse, _MERGE, config, job_id_prefix=f"{run}-"))()


def _query(warehouse: bigquery.Client, query: str, config: bigquery.QueryJobConfig, **options: Any) -> list[Any]:
    with retryable_failures():
        job = warehouse.query(
            query, job_config=config, retry=GOOGLE_RETRY, job_retry=None, timeout=QUERY_TIMEOUT_S, **options
        )
        return list(job.result(retry=GOOGLE_RETRY, job_retry=None, timeout=QUERY_TIMEOUT_S))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else plain(value)


@contextmanager
def _postgres_may_fail() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise RetryableError(f"Postgres failed: {error}") from error


# Read when the server starts: a wrong setting stops the deployment and not the first call.
SETTINGS: Final[Settings] = read_settings(Settings, os.environ)


@cache
def _warehouse() -> bigquery.Client:
    """A client whose jobs run where the dataset is: the merge's first statement names no table that would tell."""
    with retryable_failures():
        dataset = bigquery.Client(SETTINGS.project).get_dataset(names.DATASET, retry=GOOGLE_RETRY, timeout=30)
    return bigquery.Client(SETTINGS.project, location=dataset.location)


def publish_live(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """The function's entry point."""
    if request.method != "POST":
        return {"error": f"the method must be POST, got {request.method}"}, 405, {"Allow": "POST"}
    started = time.monotonic()
    try:
        answer = publish(_warehouse(), dt.datetime.now(dt.UTC))
    except RetryableError as error:
        log("ERROR", "publishing failed", reason=str(error))
        return {"error": str(error)}, 503
    if answer["sent"]:
        log("INFO", "candles published", seconds=round(time.monotonic() - started, 1), **answer)
    return answer
