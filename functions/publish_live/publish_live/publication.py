"""One call's work: rows that have changed since the last call are merged, old ones deleted, a bounded number of each.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
import time
from itertools import islice
from typing import Any, Final

import psycopg
from google.cloud import bigquery

from bitcoin_pipeline import schemas
from bitcoin_pipeline.adapters.stdout import log
from publish_live.postgres import (
    OVERLAP,
    changed_rows,
    connection,
    delete_candles,
    delete_gaps,
    is_only_caller,
    old_versions,
)
from publish_live.rows import Row, row_version
from publish_live.warehouse import MERGE_TIMEOUT_S, held_versions, merge, published_versions

ROWS_PER_TRANSACTION: Final = 2000
"""Upper bound on the rows of one transaction: they are one query parameter, some 450 bytes each, of 10 MB at most."""

ROWS_PER_CALL: Final = 20_000
"""Upper bound on the rows of one call, ten transactions; two minutes of live candles are some ten rows."""

BUDGET_S: Final = schemas.function_timeout_s("publish_live") - MERGE_TIMEOUT_S
"""Seconds after which a call begins no further transaction, so that it answers within the function's time limit."""


def publish(  # noqa: PLR0913  # bounds that tests narrow
    warehouse: bigquery.Client,
    now: dt.datetime,
    keep: dt.timedelta,
    *,
    rows_per_call: int = ROWS_PER_CALL,
    rows_per_transaction: int = ROWS_PER_TRANSACTION,
    budget_s: float = BUDGET_S,
) -> dict[str, Any]:
    """Publishes the rows that have changed since the last call, and prunes Postgres; returns the answer's figures.

    `keep`: the age of candles and gaps from which they are deleted from Postgres, whole days at a time.
    Raises RetryableError when Postgres or BigQuery fails, or when conflicts with other transactions last.
    """
    sent, until, more = 0, None, False
    deadline = time.monotonic() + budget_s
    with connection() as postgres:
        if not is_only_caller(postgres):
            return {"sent": 0, "until": None, "more": False, "busy": True, "pruned": 0}
        published = published_versions(warehouse, now, OVERLAP)
        rows = changed_rows(postgres, published, fetch=rows_per_transaction)
        changed = (row for row in rows if row_version(row) not in published)
        while part := list(islice(changed, rows_per_transaction)):
            if sent >= rows_per_call or time.monotonic() >= deadline:
                more = True
                break
            merge(warehouse, part, now)
            sent += len(part)
            until = part[-1]["updated_at"].isoformat()
        midnight = dt.datetime.combine(now.astimezone(dt.UTC) - keep, dt.time(), dt.UTC)
        is_late = more or time.monotonic() >= deadline
        pruned = 0 if is_late else _prune(postgres, warehouse, midnight, rows_per_call)
    return {"sent": sent, "until": until, "more": more, "busy": False, "pruned": pruned}


def _prune(postgres: psycopg.Connection[Row], warehouse: bigquery.Client, before: dt.datetime, limit: int) -> int:
    """Delete candles before a time that BigQuery holds as they are, then the gaps that touch no candle any more."""
    old = old_versions(postgres, before, limit)
    if not old:
        return 0
    held = old & held_versions(warehouse, min(row[1] for row in old), max(row[1] for row in old))
    if len(held) < len(old):
        log("ERROR", "old candles are not in BigQuery", rows=len(old) - len(held))
    delete_candles(postgres, held)
    delete_gaps(postgres, before)
    return len(held)
