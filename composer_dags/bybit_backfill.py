"""Loads the days between start and end that are missing: fetches their files, and computes batches of many days.

The next files are fetched while a batch is computed. A failed task may be cleared: it does what is left. The task
`summary` has the outcome as a table in its log, and as its XCom `summary`. Failures publish `dag.failed`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.sdk import Param, dag, task_group

from bybit_tasks.operators import CandlesBatchOperator
from bybit_tasks.settings import SETTINGS
from bybit_tasks.tasks import RETRIES, fetch, loaded, periods, summary

SYMBOL = {"type": "string", "pattern": "^[0-9A-Z]{5,20}$"}


@dag(
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    max_active_runs=1,
    default_args=RETRIES,
    params={
        "symbols": Param(list(SETTINGS.symbols), type="array", items=SYMBOL, minItems=1, description="One a line"),
        "start": Param("2020-03-25", type="string", format="date", description="The first UTC day"),
        "end": Param("2020-03-25", type="string", format="date", description="The last UTC day, included"),
        "force": Param(False, type="boolean", description="Also check loaded days for revised files"),
    },
    doc_md=__doc__,
    tags=["bybit"],
)
def bybit_backfill() -> None:
    """The tasks in their order."""

    @task_group
    def batch(period: Any) -> None:
        work = fetch(period)
        CandlesBatchOperator(task_id="candles", work=work, max_active_tis_per_dagrun=1) >> loaded(work)

    batch.expand(period=periods()) >> summary()


bybit_backfill()
