"""One call's work: the rows that have changed since the last call are read and merged, a bounded number of them.

The function's modules and tests import it.
"""

from __future__ import annotations

import datetime as dt
import time
from itertools import islice
from typing import Any, Final

from google.cloud import bigquery

from bitcoin_pipeline import schemas
from publish_live.postgres import OVERLAP, changed_rows, connection, is_only_caller
from publish_live.rows import row_version
from publish_live.warehouse import MERGE_TIMEOUT_S, merge, published_versions

ROWS_PER_TRANSACTION: Final = 2000
"""Upper bound on the rows of one transaction: they are one query parameter, some 450 bytes each, of 10 MB at most."""

ROWS_PER_CALL: Final = 20_000
"""Upper bound on the rows of one call, ten transactions; two minutes of live candles are some ten rows."""

BUDGET_S: Final = schemas.function_timeout_s("publish_live") - MERGE_TIMEOUT_S
"""Seconds after which a call begins no further transaction, so that it answers within the function's time limit."""


def publish(
    warehouse: bigquery.Client,
    now: dt.datetime,
    *,
    rows_per_call: int = ROWS_PER_CALL,
    rows_per_transaction: int = ROWS_PER_TRANSACTION,
    budget_s: float = BUDGET_S,
) -> dict[str, Any]:
    """Publishes the rows that have changed since the last call; returns the answer's figures.

    Raises RetryableError when Postgres or BigQuery fails, or when conflicts with other transactions last.
    """
    sent, until, more = 0, None, False
    deadline = time.monotonic() + budget_s
    with connection() as postgres:
        if not is_only_caller(postgres):
            return {"sent": 0, "until": None, "more": False, "busy": True}
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
    return {"sent": sent, "until": until, "more": more, "busy": False}
