"""kill -9 of any part at a bad moment of a backfill, then the same command again: the result is that of no kill.

Several parts are killed in one backfill, one after the other; a part that is down is started again by its supervisor.
"""

from __future__ import annotations

import datetime as dt
import gzip
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest
import requests
from google.cloud import dataproc_v1 as dataproc
from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.candle import Candle, Source, minute_candles
from bitcoin_pipeline.names import archive_key, raw_object
from bitcoin_pipeline.times import days
from local.backing.interface import PROJECT
from local.environment import read_env_file
from local.stack.config import REGION, STAGING
from local.stack.supervision import stack_processes
from local.waiting import wait_for
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline
from tests.support.containers import kill_container
from tests.support.whole_path import WholeStack

pytestmark = pytest.mark.timeout(900)  # the first test may start the stack
SYMBOL = "SOLUSDT"
SECONDS = 240
"""Upper bound on the wait for the moment of a kill, on a busy machine."""


class Backfill:
    """The backfill of some days, which is started again whenever it has ended before its work was done."""

    def __init__(self, pipeline: Pipeline, start: dt.date, count: int) -> None:
        self.pipeline = pipeline
        self.days = list(days(start, start + dt.timedelta(days=count - 1)))
        self.words = ("backfill", SYMBOL, self.days[0].isoformat(), self.days[-1].isoformat())
        self.process = pipeline.start(*self.words)

    def kill_at(self, moment: Callable[[], bool], target: str) -> None:
        """Kill a part with SIGKILL when the moment has come, while a backfill runs."""

        def has_come() -> bool:
            if moment():
                return True
            if self.process.poll() is not None:
                self.process.communicate()
                self.process = self.pipeline.start(*self.words)
            return False

        def wait() -> None:
            wait_for(f"the moment to kill {target}", has_come, SECONDS)
            assert self.process.poll() is None

        if target == "driver":
            wait()
            kill(*drivers(self.pipeline))
        elif not kill_container(self.pipeline.home, target, wait):
            service = self._running(target)
            wait()
            # The children of the API are drivers, which outlive it.
            kill(service, *([] if target == "dataproc" else service.children(recursive=True)))

    def end(self) -> None:
        """Wait for its end, run the same command again, and assert that the result is that of no kill."""
        self.process.communicate(timeout=SECONDS)  # with any exit code
        outcome = self.pipeline.run(*self.words)
        assert outcome.code == 0, outcome.err
        first, last = self.words[2:]
        loaded = self.pipeline.done("candles", *self.words[1:], "--format", "csv").rows
        assert loaded == [csv_row(candle) for day in self.days for candle in expected_candles(self.pipeline, day)]
        query = f"""
            SELECT (SELECT count(*) FROM ingests WHERE status = 'loaded' AND symbol = '{SYMBOL}'
                    AND date BETWEEN '{first}' AND '{last}') AS days,
                   (SELECT count(*) FROM candle_history WHERE symbol = '{SYMBOL}'
                    AND CAST(open_time AS DATE) BETWEEN '{first}' AND '{last}') AS changed
        """
        assert self.pipeline.done("sql", query, "--format", "csv").rows == [
            {"days": str(len(self.days)), "changed": "0"}
        ]

    def stored(self) -> int:
        """Number of days whose files are in the lake."""
        return sum((self._lake / raw_object(SYMBOL, day)).exists() for day in self.days)

    def driver_runs(self) -> bool:
        return bool(drivers(self.pipeline))

    def has_written(self, count: int) -> bool:
        """True when the running driver has staged the trades of that many days."""
        folder = self.pipeline.home / "gcs" / STAGING
        times = []
        for file in folder.rglob("*-trades.parquet"):
            with suppress(FileNotFoundError):  # a batch deletes what it has staged
                times.append(file.stat().st_mtime)
        started = [process.create_time() for process in drivers(self.pipeline)]
        return bool(started) and sum(time > min(started) for time in times) >= count

    def _running(self, service: str) -> psutil.Process:
        pid = wait_for(f"{service} to run", lambda: WholeStack(self.pipeline.home).pid(service), SECONDS)
        return psutil.Process(pid)

    @property
    def _lake(self) -> Path:
        return self.pipeline.home / "gcs" / "lake"


def drivers(pipeline: Pipeline) -> list[psutil.Process]:
    """The Java processes of Spark."""
    return [process for process in stack_processes(pipeline.home) if is_driver(process)]


def is_driver(process: psutil.Process) -> bool:
    try:
        return process.name() == "java" and "org.apache.spark.deploy.SparkSubmit" in process.cmdline()
    except psutil.Error:
        return False


# backfill   plan ── fetch ────────────────────────────────────────── batch ──x try 2 ────────────────────x try 3 ─────
# stored              1                2     3          4        ... 6
# written                                                                              1 day       3 days       1 day
# killed              fetch_archive    gcs   metadata   exchange       driver    API   gcs         driver       BigQuery
def test_parts_killed_in_mid_work_change_nothing(synthetic_stack: Pipeline) -> None:
    backfill = Backfill(synthetic_stack, dt.date(2024, 1, 1), 6)
    for count, target in enumerate(("fetch_archive", "gcs", "metadata", "exchange"), 1):
        backfill.kill_at(lambda count=count: backfill.stored() >= count, target)  # type: ignore[misc]
        assert backfill.stored() < len(backfill.days)
    for target in ("driver", "dataproc"):
        backfill.kill_at(backfill.driver_runs, target)
    for count, target in ((1, "gcs"), (3, "driver"), (1, "bigquery")):
        backfill.kill_at(lambda count=count: backfill.has_written(count), target)  # type: ignore[misc]
    backfill.end()


# first   plan ── fetch ── batch ── waits ─x kill -9
# second                                       plan ── fetch ── attaches ── waits ── summary
# batch                    ═════════════════════════════════════════════════════|
def test_a_killed_command_that_is_run_again_waits_for_the_batch_that_it_left(synthetic_stack: Pipeline) -> None:
    days = [dt.date(2024, 3, 1), dt.date(2024, 3, 2)]
    words = ("backfill", "SOLUSDT,DOGEUSDT", *map(dt.date.isoformat, days))
    before = batches(synthetic_stack)
    first = synthetic_stack.start(*words)
    wait_for("the driver to run", lambda: drivers(synthetic_stack), SECONDS)
    first.kill()
    first.communicate()
    second = synthetic_stack.done(*words)
    assert "already; waiting for it" in second.err
    [(name, state)] = batches(synthetic_stack) - before
    assert state == "SUCCEEDED"
    query = """
        SELECT symbol, date, status, batch_id FROM ingests WHERE date BETWEEN '2024-03-01' AND '2024-03-02' ORDER BY ALL
    """
    assert synthetic_stack.done("sql", query, "--format", "csv").rows == [
        {"symbol": symbol, "date": day.isoformat(), "status": "loaded", "batch_id": name}
        for symbol in ("DOGEUSDT", "SOLUSDT")
        for day in days
    ]


def batches(pipeline: Pipeline) -> set[tuple[str, str]]:
    """The id and the state of every batch so far."""
    channel = grpc.insecure_channel(read_env_file(pipeline.home / "env")["DATAPROC_EMULATOR_HOST"])
    client = dataproc.BatchControllerClient(transport=BatchControllerGrpcTransport(channel=channel))
    listed = client.list_batches(parent=f"projects/{PROJECT}/locations/{REGION}")
    return {(batch.name.rpartition("/")[2], batch.state.name) for batch in listed}


def kill(*processes: psutil.Process) -> None:
    assert processes
    for process in processes:
        with suppress(ProcessLookupError):  # a child that has ended by itself
            os.kill(process.pid, signal.SIGKILL)


def expected_candles(pipeline: Pipeline, day: dt.date) -> list[Candle]:
    """The candles that the core computes from the exchange's own file."""
    address = read_env_file(pipeline.home / "env")["BYBIT_ARCHIVE_URL"]
    answer = requests.get(f"{address}/{archive_key(SYMBOL, day)}", headers={"User-Agent": "test"}, timeout=60)
    answer.raise_for_status()
    trades = read_day(gzip.decompress(answer.content).decode().split("\n"), SYMBOL, day).trades
    assert len(trades) > 1000
    return minute_candles(trades, Source.ARCHIVE)
