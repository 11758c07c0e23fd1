"""The command `pipeline daily`, with the cases of the DAG `bybit_daily`, against the stand-ins.

The function, the job's days, its publication and the stores are real; Dataproc is not.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bitcoin_pipeline import names
from bitcoin_pipeline.ingests import SymbolDay
from local.backing.warehouse import create_warehouse
from local.command import batch_runs, data
from local.command.cloud import Cloud
from local.stack.config import LAKE, STAGING
from tests.support import daily
from tests.support.daily import BAD, EMPTY, LATER, NEVER, PUBLISHED, SYMBOLS, DailyCase
from tests.support.dataproc_in_process import InProcessDataproc
from tests.support.processes import RunningStack


class Daily:
    """The command, and what it works on."""

    def __init__(self, running: RunningStack, archive: Path) -> None:
        self.archive = archive
        self.warehouse = running.bigquery()
        self.dataproc = InProcessDataproc(running.bigquery, running.storage, random.Random(0), kills=0)
        for bucket in (LAKE, STAGING):
            running.storage().create_bucket(bucket)
        create_warehouse(self.warehouse)
        self.cloud = Cloud(running.environ)
        self.cloud.batches = lambda: self.dataproc  # type: ignore[method-assign]

    def run(self, day: dt.date) -> int:
        """The exit code of the command for a day."""
        outcome = CliRunner().invoke(data.app, ["daily", ",".join(SYMBOLS), "--day", str(day)])
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
        return outcome.exit_code


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daily]:
    archive = tmp_path_factory.mktemp("archive")
    services = ("metadata", "gcs", "bigquery", "exchange", "fetch_archive")
    for symbol in SYMBOLS:  # an archive without a folder of a symbol does not have the symbol
        daily.publish(archive, symbol, dt.date(2023, 1, 1), b"")
    with (
        RunningStack(tmp_path_factory.mktemp("stack"), services, archive) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        running.set_environment(patch)
        started = Daily(running, archive)
        patch.setattr(batch_runs, "_POLL_S", 0.05)
        patch.setattr(data, "_cloud", lambda: started.cloud)
        yield started
        started.dataproc.end()


@pytest.mark.parametrize(
    ("case", "code", "next_code"),
    [
        pytest.param(PUBLISHED, 0, 0, id="published"),
        pytest.param(EMPTY, 0, 0, id="no trades"),
        pytest.param(BAD, 1, 0, id="corrupt and in an unknown form"),
        pytest.param(NEVER, 1, 1, id="never published"),
    ],
)
def test_a_day(command: Daily, case: DailyCase, code: int, next_code: int) -> None:
    """The next call computes nothing; it does not report a failed day again whose file is the same."""
    case.publish(command.archive)
    assert command.run(case.day) == code
    case.check(command.warehouse)
    batches = len(command.dataproc.states)
    assert command.run(case.day) == next_code
    assert len(command.dataproc.states) == batches


def test_a_day_that_is_not_published_yet_is_left_to_a_later_call(command: Daily) -> None:
    """The later call also loads a day of the week before that was given up."""
    late = [SymbolDay(symbol, LATER.day - dt.timedelta(days=days)) for symbol in SYMBOLS for days in (2, 1)]
    assert NEVER.day in {item.day for item in late}
    for item in late:
        daily.publish(command.archive, item.symbol, item.day, daily.traded(item.symbol, item.day))
    assert command.run(LATER.day) == 0
    assert daily.ingests(command.warehouse, LATER.day, LATER.day) == {}
    LATER.publish(command.archive)
    assert command.run(LATER.day) == 0
    LATER.check(command.warehouse)
    assert daily.candles(command.warehouse, NEVER.day, late[1].day) == daily.expected(late)


def test_a_file_that_is_revised_within_a_week_is_loaded_anew(command: Daily) -> None:
    day = PUBLISHED.day
    PUBLISHED.publish(command.archive)
    assert command.run(day) == 0
    item = daily.publish(command.archive, "BTCUSDT", day, daily.traded("BTCUSDT", day, daily.REVISED))
    computed = len(command.dataproc.computed)
    assert command.run(day + dt.timedelta(days=7)) == 0
    assert command.dataproc.computed[computed:] == [item]
    found = daily.candles(command.warehouse, day, day)
    other = daily.expected([SymbolDay("ETHUSDT", day)])
    assert found == daily.expected([item], daily.REVISED) + other
    earlier = daily.candles(command.warehouse, day, day, names.CANDLE_HISTORY)
    assert earlier == daily.expected([item])[1:2]
