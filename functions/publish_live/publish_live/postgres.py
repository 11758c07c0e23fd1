"""Postgres as the function `publish_live` uses it: changed and old candles, and a lock that one call at a time holds.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.rows import dict_row

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.errors import RetryableError
from publish_live.rows import Row, RowVersion, row_version

OVERLAP: Final = dt.timedelta(minutes=10)
"""Upper bound on the time from a write of `updated_at` to its commit, by which every call reads back again.

Flink's flush takes well below a second; one that hangs is ended with its checkpoint, by Flink's default after 10
minutes. The overlap costs ten rows a symbol.
"""

LOCK: Final = 0x7075626C697665
"""Key of the advisory lock that a call holds; Postgres releases it with the connection."""

_CHANGED: Final = f"""
SELECT {", ".join(schemas.table(names.CANDLES).names)} FROM candles
WHERE source = 'live' AND status <> 'forming'
  -- If the newest row in BigQuery has a time from a clock that was ahead, the current time replaces it.
  AND updated_at > LEAST(%(mark)s, clock_timestamp()) - %(overlap)s
ORDER BY updated_at, symbol, open_time
"""  # noqa: S608  # the names are our own, the values bound


_OLD: Final = """
SELECT symbol, open_time, updated_at FROM candles
WHERE source = 'live' AND status <> 'forming' AND open_time < %s AND updated_at < %s ORDER BY open_time LIMIT %s
"""

_DELETE_CANDLES: Final = """
DELETE FROM candles
USING unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS held (symbol, open_time, updated_at)
WHERE candles.symbol = held.symbol AND candles.open_time = held.open_time AND candles.updated_at = held.updated_at
  AND source = 'live'
"""

_DELETE_GAPS: Final = """
DELETE FROM gaps
WHERE to_time < %s AND NOT EXISTS (
  SELECT FROM candles
  WHERE candles.symbol = gaps.symbol AND source = 'live' AND status <> 'forming'
    AND open_time > from_time - interval '1 minute' AND open_time <= to_time
)
"""


@contextmanager
def connection() -> Iterator[psycopg.Connection[Row]]:
    """A connection by libpq's own variables. Raises RetryableError in place of the errors of a failing server."""
    # Times in UTC for any time zone of the server; no statement of the function takes long.
    options = "-c timezone=UTC -c statement_timeout=60000"
    try:
        with psycopg.connect("", connect_timeout=10, options=options, row_factory=dict_row) as postgres:
            yield postgres
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise RetryableError(f"Postgres failed: {error}") from error


def is_only_caller(postgres: psycopg.Connection[Row]) -> bool:
    """Takes the function's lock; False when another call holds it."""
    row = postgres.execute("SELECT pg_try_advisory_lock(%s) AS is_ours", (LOCK,)).fetchone()
    return row is not None and bool(row["is_ours"])


def changed_rows(postgres: psycopg.Connection[Row], published: Iterable[RowVersion], fetch: int) -> Iterator[Row]:
    """The rows that BigQuery may lack, in the order in which they were written, `fetch` rows in memory at once."""
    mark = max((updated_at for _, _, updated_at in published), default=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    with postgres.cursor(name="changed") as cursor:
        cursor.itersize = fetch
        yield from cursor.execute(_CHANGED, {"mark": mark, "overlap": OVERLAP})


def old_versions(postgres: psycopg.Connection[Row], before: dt.datetime, limit: int) -> set[RowVersion]:
    """The versions of the oldest complete or partial candles that open before a time, at most `limit`.

    Candles that were written after that time are left out: a recording that is played now has old times.
    """
    return {row_version(row) for row in postgres.execute(_OLD, (before, before, limit))}


def delete_candles(postgres: psycopg.Connection[Row], versions: Iterable[RowVersion]) -> None:
    """Delete the candles that still have these versions."""
    columns = [list(column) for column in zip(*versions, strict=True)]
    if columns:
        postgres.execute(_DELETE_CANDLES, columns)


def delete_gaps(postgres: psycopg.Connection[Row], before: dt.datetime) -> None:
    """Delete the gaps that end before a time and touch no candle that Postgres holds and BigQuery could take."""
    postgres.execute(_DELETE_GAPS, (before,))
