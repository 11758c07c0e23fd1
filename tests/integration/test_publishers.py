"""Publishers of the same new rows at every step of each other's transactions: every key has one row in the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.times import day_start_us, to_datetime
from candles_batch import candles
from candles_batch.publication import publish
from candles_batch.reading import read_day
from local.backing.warehouse import create_warehouse
from local.stack.config import LAKE
from publish_live.warehouse import merge
from tests.support.batch_days import FIVE, file, lines
from tests.support.processes import RunningStack
from tests.support.stepped import interleaved

NOW = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
STEPS = 11
"""At least the number of statements in a publisher's script."""

Publisher = Callable[[Any], None]


class Market:
    """The services that publishers use, and a new symbol-day for every test."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.client = stack.bigquery()
        self._days = count(1)
        self._runs = count(1)
        stack.storage().create_bucket(LAKE)
        create_warehouse(self.client)

    def new_day(self) -> SymbolDay:
        return SymbolDay("BTCUSDT", dt.date(2024, 1, 1) + dt.timedelta(days=next(self._days)))

    def batch(self, item: SymbolDay, *trades: str, status: str = "loaded") -> Publisher:
        """A batch that publishes a day of these trades."""
        day = read_day([file(lines(item, *(trades or FIVE)))], item.symbol, item.day)
        ingest = {"symbol": item.symbol, "date": str(item.day), "status": status, "row_count": len(trades)}
        run = f"candles-{next(self._runs)}"
        return lambda client: publish(client, LAKE, run, [ingest], candles.minute_candles(day))

    def live(self, item: SymbolDay, close: int = 1, written_s: int = 0) -> Publisher:
        """A call of `publish_live` with the first three minutes of a day, written in Postgres at NOW + `written_s`."""
        start = to_datetime(day_start_us(item.day))
        updated_at = NOW + dt.timedelta(seconds=written_s)
        rows = [
            {
                **dict.fromkeys(schemas.table(names.CANDLES).names, 1),
                **{"symbol": item.symbol, "open_time": start + dt.timedelta(minutes=minute), "source": "live"},
                **{"first_trade_id": "a", "last_trade_id": "b", "status": "final", "close": close},
                "updated_at": updated_at,
            }
            for minute in range(3)
        ]
        return lambda client: merge(client, rows, NOW)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.client.query_and_wait(query)]

    def candles(self, item: SymbolDay, source: str, table: str = names.CANDLES) -> list[tuple[int, int]]:
        """Minute and close of each row of a day."""
        where = f"symbol = '{item.symbol}' AND DATE(open_time) = '{item.day}' AND source = '{source}'"
        start = to_datetime(day_start_us(item.day))
        found = self.rows(f"SELECT open_time, close FROM {table} WHERE {where} ORDER BY open_time, close")
        return [((row["open_time"] - start) // dt.timedelta(minutes=1), row["close"]) for row in found]

    def ingests(self, item: SymbolDay) -> list[str]:
        where = f"symbol = '{item.symbol}' AND date = '{item.day}'"
        return [row["batch_id"] for row in self.rows(f"SELECT batch_id FROM {names.INGESTS} WHERE {where}")]


ARCHIVE = [(0, 101), (1, 100.5), (1439, 7)]
LIVE = [(0, 1), (1, 1), (2, 1)]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with (
        RunningStack(tmp_path_factory.mktemp("publishers"), ("metadata", "gcs", "bigquery")) as stack,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in stack.stack.environ().items():
            patch.setenv(name, value)
        yield Market(stack)


# a  1 2 3|           4 ... commit
# b       |1 2 ... commit
@pytest.mark.parametrize("order", [*("a" * steps + "b" * STEPS for steps in range(STEPS)), "ab" * STEPS], ids=len)
@pytest.mark.parametrize("pair", ["batch-batch", "live-live", "batch-live", "live-batch"])
def test_publishers_of_the_same_new_days_leave_one_row_per_key(market: Market, pair: str, order: str) -> None:
    item = market.new_day()
    first, second = pair.split("-")
    publishers = {"batch": partial(market.batch, item), "live": partial(market.live, item)}
    interleaved(market.stack, order, a=publishers[first](), b=publishers[second]())
    assert market.candles(item, "archive") == (ARCHIVE if "batch" in pair else [])
    assert len(market.ingests(item)) == ("batch" in pair)
    assert market.candles(item, "live") == (LIVE if "live" in pair else [])
    assert market.candles(item, "archive", names.CANDLE_HISTORY) == []
