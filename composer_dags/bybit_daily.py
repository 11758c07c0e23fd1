"""Loads yesterday's trades of every symbol once Bybit has published them, and files that were revised since.

Waits for up to 36 hours without holding a worker. A file that is absent then is no failure: an event
`archive.absent` is published, and the runs of the next days load the file when it comes. Failures publish `dag.failed`.
"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import Param, dag

from bitcoin_pipeline.daily import PATIENCE
from bybit_tasks.operators import CandlesBatchOperator
from bybit_tasks.settings import SETTINGS
from bybit_tasks.tasks import RETRIES, archive, checked, loaded, to_compute

DAY = "{{ params.day or (dag_run.run_after - macros.timedelta(days=1)) | ds }}"


@dag(
    schedule="20 1 * * *",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=3,  # a run may wait longer than a day
    default_args=RETRIES,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="UTC day; yesterday by default"),
        "wait_hours": Param(PATIENCE.total_seconds() / 3600, type="number", minimum=0, description="After the day"),
    },
    doc_md=__doc__,
    tags=["bybit"],
)
def bybit_daily() -> None:
    """The tasks in their order."""
    answers = archive.partial(day=DAY, wait_hours="{{ params.wait_hours }}").expand(symbol=list(SETTINGS.symbols))
    work = to_compute(answers, DAY)
    CandlesBatchOperator(task_id="candles", work=work) >> [loaded(work), checked(work, DAY)]


bybit_daily()
