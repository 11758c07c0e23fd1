"""Two backfills of the same days at the same moment, with random delays and kills: the rows of one, each time.

The command's code, the function, the job's days, its publication and the stand-ins are real; Dataproc is not, and a
command is a task of this process, which is killed by a cancellation and by the death of its clients.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from bitcoin_pipeline import names
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.names import archive_file
from bitcoin_pipeline.planning import BackfillError
from bitcoin_pipeline.times import from_datetime
from local.backing.warehouse import create_warehouse
from local.command import batch_runs
from local.command.backfill import Backfill
from local.command.cloud import Cloud
from local.command.services import CloudServices
from local.stack.config import LAKE, STAGING
from tests.support.batch_days import FIVE, file, lines
from tests.support.dataproc_in_process import InProcessDataproc, KilledError, Mortal
from tests.support.processes import RunningStack

ROUNDS = int(os.environ.get("BACKFILL_ROUNDS", "4"))
"""`make chaos-backfill` has 20, some nine seconds each."""
FIRST = dt.date(2024, 1, 1)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAYS = 2


class Silent:
    """Progress that is not shown."""

    def step(self, title: str, total: int | None) -> None: ...

    def advance(self, title: str, count: int = 1) -> None: ...

    def note(self, text: str) -> None: ...


class Market:
    """The services of the commands, and files of new days for every round."""

    def __init__(self, running: RunningStack, archive: Path) -> None:
        self.running = running
        self.archive = archive
        self.warehouse = running.bigquery()
        for bucket in (LAKE, STAGING):
            running.storage().create_bucket(bucket)
        create_warehouse(self.warehouse)

    def publish(self, number: int) -> list[SymbolDay]:
        """Put the files of a round into the archive; one symbol has none on the second day."""
        days = [FIRST + dt.timedelta(days=number * DAYS + offset) for offset in range(DAYS)]
        items = [SymbolDay(symbol, day) for day in days for symbol in SYMBOLS][:-1]
        for item in items:
            (self.archive / archive_file(item.symbol, item.day)).write_bytes(file(lines(item, *FIVE)))
        return items

    def candles(self, days: list[dt.date]) -> list[tuple[Any, ...]]:
        """The rows of days, in order."""
        return self._rows(
            f"SELECT symbol, open_time, open, high, low, close, volume, trade_count FROM {names.CANDLES} "
            "WHERE DATE(open_time) IN UNNEST(@days) ORDER BY symbol, open_time",
            days,
        )

    def ingests(self, days: list[dt.date]) -> list[tuple[Any, ...]]:
        """Symbol, day and status of the rows of days, in order."""
        query = f"SELECT symbol, date, status FROM {names.INGESTS} WHERE date IN UNNEST(@days) ORDER BY date, symbol"
        return self._rows(query, days)

    def _rows(self, query: str, days: list[dt.date]) -> list[tuple[Any, ...]]:
        parameters = bigquery.QueryJobConfig(query_parameters=[bigquery.ArrayQueryParameter("days", "DATE", days)])
        return [tuple(row) for row in self.warehouse.query_and_wait(query, job_config=parameters)]


def expected(items: list[SymbolDay]) -> list[tuple[Any, ...]]:
    """The rows of the core's own candles of the files."""
    rows = []
    for item in items:
        candles = minute_candles(read_day(lines(item, *FIVE), item.symbol, item.day).trades, Source.ARCHIVE)
        rows += [
            (each.symbol, each.open_time_us, each.open, each.high, each.low, each.close, each.volume, each.trade_count)
            for each in candles
        ]
    return sorted(rows)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    archive = tmp_path_factory.mktemp("archive")
    services = ("metadata", "gcs", "bigquery", "exchange", "fetch_archive")
    with (
        RunningStack(tmp_path_factory.mktemp("stack"), services, archive) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        running.set_environment(patch)
        patch.setattr(batch_runs, "_PAUSE_US", 20_000)
        patch.setattr(batch_runs, "_POLL_S", 0.05)
        yield Market(running, archive)


class Command:
    """A command that backfills days, and that is started again after each kill."""

    def __init__(self, market: Market, dataproc: InProcessDataproc, days: list[dt.date], delay: random.Random) -> None:
        self._market = market
        self._dataproc = dataproc
        self._days = days
        self._random = delay

    async def run(self, kills: int) -> None:
        """Return when the backfill has ended by itself, after that number of kills at most."""
        for left in range(kills, -1, -1):
            cloud = Cloud({**self._market.running.environ, "PIPELINE_DAYS_PER_BATCH": "2"})
            batches = Mortal(self._dataproc)
            cloud.batches = lambda batches=batches: batches  # type: ignore[method-assign,misc]
            with CloudServices(cloud, Silent()) as services:
                backfill = Backfill(services, SYMBOLS, self._days[0], self._days[-1], Silent()).run()
                task = asyncio.create_task(backfill)
                await asyncio.wait({task}, timeout=self._random.uniform(0, 1.5) if left else None)
                if task.done():
                    task.result()
                    return
                batches.kill()
                task.cancel()
                with suppress(asyncio.CancelledError, KilledError, BackfillError):
                    await task


@pytest.mark.timeout(60 * ROUNDS + 60)
def test_two_backfills_at_once_with_kills_leave_the_rows_of_one(market: Market) -> None:
    for number in range(ROUNDS):
        chance = random.Random(number)
        items = market.publish(number)
        days = sorted({item.day for item in items})
        dataproc = InProcessDataproc(market.running.bigquery, market.running.storage, chance, kills=2)

        async def race(dataproc: InProcessDataproc = dataproc, days: list[dt.date] = days, seed: int = number) -> None:
            commands = [Command(market, dataproc, days, random.Random(f"{seed} {name}")) for name in "ab"]
            await asyncio.gather(*(command.run(kills=2) for command in commands))

        asyncio.run(race())
        dataproc.end()
        found = [(symbol, from_datetime(time), *values) for symbol, time, *values in market.candles(days)]
        assert found == expected(items), f"round {number}"
        loaded = [(item.symbol, item.day, "loaded") for item in items]
        assert market.ingests(days) == [*loaded, (SYMBOLS[1], days[1], "no_trades")], f"round {number}"
