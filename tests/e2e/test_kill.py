"""kill -9 of anything at a bad moment of a backfill, then the same command again: the same result as without."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest
import requests

from bitcoin_pipeline.archive import read_day
from bitcoin_pipeline.candle import Candle, Source, minute_candles
from bitcoin_pipeline.names import archive_key, raw_object, trades_object
from bitcoin_pipeline.times import days
from local.stack import read_env_file
from local.supervision import stack_processes
from local.waiting import wait_for
from tests.e2e.rows import csv_row
from tests.support.command import Pipeline

SYMBOL = "SOLUSDT"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A stack with the invented market."""
    pipeline = Pipeline(tmp_path_factory.mktemp("home"))
    pipeline.done("up")
    try:
        yield pipeline
    finally:
        pipeline.done("down", "--remove-data")


def drivers(pipeline: Pipeline) -> list[psutil.Process]:
    """The Java processes of Spark."""
    return [process for process in stack_processes(pipeline.home) if process.name() == "java"]


def is_stored(pipeline: Pipeline, day: dt.date) -> bool:
    return (pipeline.home / "gcs" / "lake" / raw_object(SYMBOL, day)).exists()


def driver_runs(pipeline: Pipeline, _: dt.date) -> bool:
    return bool(drivers(pipeline))


def trades_are_written(pipeline: Pipeline, day: dt.date) -> bool:
    return (pipeline.home / "gcs" / "lake" / trades_object(SYMBOL, day)).exists()


# backfill:  plan ── fetch ──────────────── batch ──────────────────────────── publish ── summary
#                     ^ is_stored (day 1)    ^ driver_runs   ^ trades_are_written (day 1)
CASES = [
    ("fetch_archive", is_stored),
    ("exchange", is_stored),
    ("gcs", is_stored),
    ("metadata", is_stored),
    ("dataproc", driver_runs),
    ("driver", driver_runs),
    ("gcs", trades_are_written),
    ("bigquery", trades_are_written),
    ("driver", trades_are_written),
]


@pytest.mark.parametrize(
    ("case", "target", "moment"),
    [pytest.param(case, *CASES[case], id=f"{CASES[case][0]}-{CASES[case][1].__name__}") for case in range(len(CASES))],
)
def test_a_killed_part_changes_nothing(
    pipeline: Pipeline, case: int, target: str, moment: Callable[[Pipeline, dt.date], bool]
) -> None:
    # Days of its own for each case, so that all of them share one stack.
    start = dt.date(2024, 1, 1) + dt.timedelta(days=10 * case)
    end = start + dt.timedelta(days=2)
    words = ("backfill", SYMBOL, start.isoformat(), end.isoformat())
    process = pipeline.start(*words)
    wait_for(f"{moment.__name__} of {start}", lambda: moment(pipeline, start), 120)
    kill(pipeline, target)
    process.communicate(timeout=280)  # whether it could finish is not the question
    outcome = pipeline.run(*words)
    assert outcome.code == 0, outcome.err

    loaded = pipeline.done("candles", SYMBOL, start.isoformat(), end.isoformat(), "--format", "csv").rows
    expected = [csv_row(candle) for day in days(start, end) for candle in expected_candles(pipeline, day)]
    assert loaded == expected
    query = f"SELECT count(*) AS days FROM ingests WHERE status = 'loaded' AND date BETWEEN '{start}' AND '{end}'"
    assert pipeline.done("sql", query, "--format", "csv").rows == [{"days": "3"}]
    history = (
        f"SELECT count(*) AS changed FROM candle_history WHERE CAST(open_time AS DATE) BETWEEN '{start}' AND '{end}'"
    )
    assert pipeline.done("sql", history, "--format", "csv").rows == [{"changed": "0"}]


def kill(pipeline: Pipeline, target: str) -> None:
    """SIGKILL, with every child where the service has some."""
    if target == "driver":
        victims = drivers(pipeline)
        assert victims, "no driver runs"
    else:
        service = psutil.Process(pipeline.pid(target))
        # A driver has a life of its own: it is not the API's to take along.
        ours = {process.pid for process in drivers(pipeline)}
        children = [] if target == "dataproc" else service.children(recursive=True)
        victims = [service, *(child for child in children if child.pid not in ours)]
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)


def expected_candles(pipeline: Pipeline, day: dt.date) -> list[Candle]:
    """The candles of the exchange's own file, by the core."""
    address = read_env_file(pipeline.home / "env")["BYBIT_ARCHIVE_URL"]
    answer = requests.get(f"{address}/{archive_key(SYMBOL, day)}", headers={"User-Agent": "test"}, timeout=60)
    answer.raise_for_status()
    trades = read_day(gzip.decompress(answer.content).decode().split("\n"), SYMBOL, day).trades
    assert len(trades) > 1000
    return minute_candles(trades, Source.ARCHIVE)
