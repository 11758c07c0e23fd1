"""Runs of the DAGs on a real scheduler, triggerer, API server and DAG processor, against the stand-ins of a stack.

All runs but one go on at the same time. The function, the job with the real Spark, the buckets and the tables are those
of `pipeline up`; what is asserted are the rows of BigQuery's stand-in.
"""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.cloud import bigquery
from google.cloud import dataproc_v1 as dataproc
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.times import from_datetime
from local.backing.warehouse import create_warehouse
from local.command.airflow import ENDED, AirflowApi
from local.stack import airflow
from local.stack.config import ARTIFACTS, LAKE, STAGING
from local.stack.deployables import artifact_of
from local.stack.options import SyntheticMarket
from local.waiting import wait_for
from tests.support.batch_days import FIVE, file, lines
from tests.support.processes import RunningStack

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SERVICES = ("metadata", "gcs", "bigquery", "exchange", "dataproc", "fetch_archive")
AIRFLOW = ("airflow", "airflow_dag_processor", "airflow_triggerer", "airflow_scheduler")
LONGEST_S = 420
YESTERDAY = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
PUBLISHED, EMPTY, BAD = (dt.date(2024, month, 8) for month in (1, 3, 5))
FIRST = dt.date(2024, 7, 1)
KILLED, REFUSED = (dt.date(2024, 9, day) for day in (1, 2))
LATER = YESTERDAY
NEVER = YESTERDAY - dt.timedelta(days=1)


class Pipeline:
    """The running stack with Airflow, and what the tests do with it."""

    def __init__(self, running: RunningStack, archive: Path) -> None:
        self.running = running
        self.archive = archive
        self.api = AirflowApi(running.stack.url("airflow"))
        self.warehouse = running.bigquery()

    def publish(self, symbol: str, day: dt.date, content: bytes | None = None) -> SymbolDay:
        """Put a day's file into the archive."""
        item = SymbolDay(symbol, day)
        body = gzip.compress(file(lines(item, *FIVE))) if content is None else content
        staged = self.archive / f".{symbol}{day}"
        staged.write_bytes(body)
        staged.replace(self.archive / archive_file(symbol, day))
        return item

    def fault(self, **fields: Any) -> None:
        """Set a fault of the exchange."""
        answer = requests.post(f"{self.running.stack.url('exchange')}/control/faults", json=fields, timeout=10)
        answer.raise_for_status()

    def daily(self, day: dt.date, **params: Any) -> str:
        """Start a run of bybit_daily."""
        return self.api.trigger("bybit_daily", {"day": day.isoformat(), **params})

    def ended(self, dag: str, run: str) -> str:
        """The state of a run once it has ended."""

        def state() -> str | None:
            now = self.api.state(dag, run)
            return now if now in ENDED else None

        try:
            return wait_for(f"{dag} {run} to end", state, LONGEST_S, 1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.states(dag, run)}") from None

    def states(self, dag: str, run: str) -> dict[tuple[str, int], str | None]:
        """The state of each task instance."""
        return {key: task["state"] for key, task in self.api.tasks(dag, run).items()}

    def ingests(self, start: dt.date, end: dt.date) -> dict[tuple[str, dt.date], tuple[str, str | None]]:
        """Status and reason of every row of `ingests` between two days."""
        query = f"SELECT symbol, date, status, reason FROM {names.INGESTS} WHERE date BETWEEN @start AND @end"
        return {(row[0], row[1]): (row[2], row[3]) for row in self._rows(query, start, end)}

    def candles(self, start: dt.date, end: dt.date) -> list[tuple[Any, ...]]:
        """The rows of candles between two days, in order."""
        query = (
            "SELECT symbol, open_time, open, high, low, close, volume, turnover, trade_count, status "
            f"FROM {names.CANDLES} WHERE DATE(open_time) BETWEEN @start AND @end ORDER BY symbol, open_time"
        )
        return [(row[0], from_datetime(row[1]), *row[2:]) for row in self._rows(query, start, end)]

    def batches(self, first: dt.date) -> set[str]:
        """The ids of the batches whose first day is `first`; other runs go on at the same time."""
        address = self.running.stack.environ()["DATAPROC_EMULATOR_HOST"]
        transport = BatchControllerGrpcTransport(channel=grpc.insecure_channel(address))
        listed = dataproc.BatchControllerClient(transport=transport).list_batches(
            parent="projects/local/locations/europe-west1"
        )
        found = {batch.name.rpartition("/")[2] for batch in listed}
        return {name for name in found if name.startswith(f"candles-{first:%Y%m%d}-")}

    def _rows(self, query: str, start: dt.date, end: dt.date) -> list[Any]:
        parameters = [
            bigquery.ScalarQueryParameter("start", "DATE", start),
            bigquery.ScalarQueryParameter("end", "DATE", end),
        ]
        return list(
            self.warehouse.query_and_wait(query, job_config=bigquery.QueryJobConfig(query_parameters=parameters))
        )


def expected(items: list[SymbolDay]) -> list[tuple[Any, ...]]:
    """The rows of the core's own candles of the files."""
    rows = []
    for item in items:
        for each in minute_candles(read_day(lines(item, *FIVE), item.symbol, item.day).trades, Source.ARCHIVE):
            amounts = (each.open, each.high, each.low, each.close, each.volume, each.turnover)
            rows.append((each.symbol, each.open_time_us, *amounts, each.trade_count, str(each.status)))
    return sorted(rows)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    archive = tmp_path_factory.mktemp("archive")
    variables = {"PIPELINE_ARCHIVE_POLL_SECONDS": "3", "PIPELINE_TASK_RETRY_SECONDS": "3"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        running = RunningStack(
            tmp_path_factory.mktemp("stack"),
            SERVICES,
            archive,
            market=SyntheticMarket(symbols=SYMBOLS),
            airflow=True,
        )
        for symbol in SYMBOLS:  # an archive without a folder of a symbol does not have the symbol
            Pipeline(running, archive).publish(symbol, dt.date(2023, 1, 1))
        with running:
            for bucket in (LAKE, STAGING, ARTIFACTS):
                running.storage().create_bucket(bucket)
            for path in artifact_of(running.stack.home, "candles_batch").iterdir():
                running.storage().bucket(ARTIFACTS).blob(f"candles/{path.name}").upload_from_filename(path)
            create_warehouse(running.bigquery())
            airflow.make_tables(running.stack.place)
            for name in AIRFLOW:
                running.start(name)
            found = Pipeline(running, archive)
            wait_for("the DAGs to be there", lambda: _unpaused(found.api), 120, 1)
            yield found


def _unpaused(api: AirflowApi) -> bool:
    try:
        for dag in ("bybit_backfill", "bybit_daily"):
            api.unpause(dag)
    except requests.RequestException:
        return False
    return True


@pytest.fixture(scope="module")
def runs(pipeline: Pipeline) -> dict[str, str]:
    """Every run by its name, all of them begun."""
    for symbol in SYMBOLS:
        pipeline.publish(symbol, PUBLISHED)
    pipeline.publish("BTCUSDT", BAD, gzip.compress(file(lines(SymbolDay("BTCUSDT", BAD), *FIVE)))[:60])
    pipeline.publish("ETHUSDT", BAD, gzip.compress(b"when;what\n1;2\n"))
    for offset in range(2):
        pipeline.publish("BTCUSDT", FIRST + dt.timedelta(days=offset))
    later = pipeline.daily(LATER)
    params = {"symbols": ["BTCUSDT"], "force": False}
    end = FIRST + dt.timedelta(days=1)
    backfill = pipeline.api.trigger("bybit_backfill", {**params, "start": str(FIRST), "end": str(end)})
    return {
        "later": later,
        "two days": backfill,
        "published": pipeline.daily(PUBLISHED),
        "empty": pipeline.daily(EMPTY),
        "bad": pipeline.daily(BAD),
        "never": pipeline.daily(NEVER, wait_hours=0),
    }


def test_a_day_that_appears_after_a_while_is_waited_for_without_a_worker(
    pipeline: Pipeline, runs: dict[str, str]
) -> None:
    def waits() -> bool:
        tasks = pipeline.api.tasks("bybit_daily", runs["later"])
        return all(tasks.get(("archive", index), {}).get("state") == "up_for_reschedule" for index in range(2))

    wait_for("both symbols to wait", waits, LONGEST_S, 0.5)
    for symbol in SYMBOLS:
        pipeline.publish(symbol, LATER)
    assert pipeline.ended("bybit_daily", runs["later"]) == "success"
    assert pipeline.candles(LATER, LATER) == expected([SymbolDay(symbol, LATER) for symbol in SYMBOLS])


def test_a_published_day_is_loaded_exactly_and_handed_over(pipeline: Pipeline, runs: dict[str, str]) -> None:
    assert pipeline.ended("bybit_daily", runs["published"]) == "success"
    items = [SymbolDay(symbol, PUBLISHED) for symbol in SYMBOLS]
    assert pipeline.candles(PUBLISHED, PUBLISHED) == expected(items)
    week = [(symbol, PUBLISHED - dt.timedelta(days=days)) for symbol in SYMBOLS for days in range(1, 8)]
    assert pipeline.ingests(PUBLISHED - dt.timedelta(days=7), PUBLISHED) == {
        **{(item.symbol, item.day): ("loaded", None) for item in items},
        **dict.fromkeys(week, ("no_trades", None)),
    }
    [event] = pipeline.api.asset_events("bybit_daily", runs["published"])
    assert event["extra"] == {"days": [f"{symbol}:{PUBLISHED}" for symbol in SYMBOLS]}


def test_a_day_without_trades_ends_well(pipeline: Pipeline, runs: dict[str, str]) -> None:
    assert pipeline.ended("bybit_daily", runs["empty"]) == "success"
    assert pipeline.ingests(EMPTY, EMPTY) == {(symbol, EMPTY): ("no_trades", None) for symbol in SYMBOLS}
    assert pipeline.candles(EMPTY, EMPTY) == []


def test_a_corrupt_file_and_one_in_an_unknown_form_fail_their_days_with_the_reason(
    pipeline: Pipeline, runs: dict[str, str]
) -> None:
    assert pipeline.ended("bybit_daily", runs["bad"]) == "failed"
    rows = pipeline.ingests(BAD, BAD)
    assert {key: status for key, (status, _) in rows.items()} == {(symbol, BAD): "failed" for symbol in SYMBOLS}
    assert [bool(reason) for _, reason in rows.values()] == [True, True]
    states = pipeline.states("bybit_daily", runs["bad"])
    assert (states["candles", -1], states["loaded", -1], states["checked", -1]) == ("success", "skipped", "failed")


def test_a_day_that_never_appears_is_given_up_and_is_no_failure(pipeline: Pipeline, runs: dict[str, str]) -> None:
    assert pipeline.ended("bybit_daily", runs["never"]) == "success"
    work = pipeline.api.result("bybit_daily", runs["never"], "to_compute")
    assert [item for item in work["not_published"] if item.endswith(str(NEVER))] == [
        f"{symbol}:{NEVER}" for symbol in SYMBOLS
    ]
    assert pipeline.ingests(NEVER, NEVER) == {}


def test_a_backfill_loads_what_is_missing_after_a_failure_and_nothing_twice(
    pipeline: Pipeline, runs: dict[str, str]
) -> None:
    assert pipeline.ended("bybit_backfill", runs["two days"]) == "success"
    end = FIRST + dt.timedelta(days=4)
    items = [SymbolDay(symbol, FIRST + dt.timedelta(days=day)) for symbol in SYMBOLS for day in range(5)]
    for item in items:
        pipeline.publish(item.symbol, item.day)
    before = pipeline.batches(FIRST)
    path = f"/trading/ETHUSDT/{archive_file('ETHUSDT', end)}"
    pipeline.fault(fault="status", code=500, times=1, path=path)
    params = {"symbols": list(SYMBOLS), "start": str(FIRST), "end": str(end), "force": False}
    run = pipeline.api.trigger("bybit_backfill", params)
    assert pipeline.ended("bybit_backfill", run) == "success"
    assert pipeline.candles(FIRST, end) == expected(items)
    summary = pipeline.api.result("bybit_backfill", run, "summary", "summary")
    counts = dict(summary["rows"])
    assert (counts["days planned"], counts["days loaded"], counts["days failed"]) == (8, 8, 0)
    assert (counts["trades"], counts["candles"], summary["remarks"]) == (8 * 5, 8 * 3, [])
    [batch] = pipeline.batches(FIRST) - before
    assert batch.endswith("-1")
    assert len(pipeline.api.tasks("bybit_backfill", run)) == 5


# fetch ── candles: submits, defers ── (no slot) ──x triggerer, x scheduler ── both again ── loaded ── summary
def test_a_killed_triggerer_and_scheduler_cost_no_second_batch_and_a_deferred_wait_holds_no_slot(
    pipeline: Pipeline, runs: dict[str, str]
) -> None:
    for name, run in runs.items():
        pipeline.ended("bybit_backfill" if name == "two days" else "bybit_daily", run)
    item = pipeline.publish("BTCUSDT", KILLED)
    before = pipeline.batches(KILLED)
    pipeline.fault(fault="ban", seconds=3)
    params = {"symbols": ["BTCUSDT"], "start": str(KILLED), "end": str(KILLED), "force": False}
    run = pipeline.api.trigger("bybit_backfill", params)

    def is_deferred() -> bool:
        return pipeline.states("bybit_backfill", run).get(("batch.candles", 0)) == "deferred"

    wait_for("the batch to be waited for", is_deferred, LONGEST_S, 0.2)
    pool = pipeline.api.pool()
    assert (pool["running_slots"], pool["queued_slots"]) == (0, 0)
    for name in ("airflow_triggerer", "airflow_scheduler"):
        pipeline.running.kill(name)
    for name in ("airflow_scheduler", "airflow_triggerer"):
        pipeline.running.start(name)
    assert pipeline.ended("bybit_backfill", run) == "success"
    assert pipeline.candles(KILLED, KILLED) == expected([item])
    assert len(pipeline.batches(KILLED) - before) == 1


def test_a_batch_that_dataproc_does_not_accept_is_submitted_again(pipeline: Pipeline) -> None:
    item = pipeline.publish("ETHUSDT", REFUSED)
    before = pipeline.batches(REFUSED)
    pipeline.running.kill("dataproc")
    params = {"symbols": ["ETHUSDT"], "start": str(REFUSED), "end": str(REFUSED), "force": False}
    run = pipeline.api.trigger("bybit_backfill", params)

    def is_tried_again() -> bool:
        task = pipeline.api.tasks("bybit_backfill", run).get(("batch.candles", 0), {})
        return task.get("state") == "up_for_retry"

    wait_for("the submission to fail", is_tried_again, LONGEST_S, 0.2)
    pipeline.running.start("dataproc")
    assert pipeline.ended("bybit_backfill", run) == "success"
    assert pipeline.candles(REFUSED, REFUSED) == expected([item])
    assert len(pipeline.batches(REFUSED) - before) == 1
