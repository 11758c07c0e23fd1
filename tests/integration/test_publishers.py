"""Publishers of the same new rows at every step of each other's transactions: every key has one row in the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from google.api_core.exceptions import NotFound

from bitcoin_pipeline import names, schemas
from bitcoin_pipeline.ingests import SymbolDay
from bitcoin_pipeline.times import MINUTE_US, day_start_us, to_datetime
from candles_batch import candles
from candles_batch.publication import publish
from candles_batch.reading import read_day
from local.backing.warehouse import create_warehouse
from local.command.cloud import Cloud
from local.command.queries import Span
from local.command.queries import candles as candles_of
from local.stack.config import STAGING
from publish_live.warehouse import merge
from tests.support.batch_days import FIVE, file, lines
from tests.support.job_results import staged_outcome
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
        stack.storage().create_bucket(STAGING)
        create_warehouse(self.client)

    def new_day(self) -> SymbolDay:
        return SymbolDay("BTCUSDT", dt.date(2024, 1, 1) + dt.timedelta(days=next(self._days)))

    def batch(self, item: SymbolDay, *trades: str, status: str = "loaded") -> Publisher:
        """A batch that publishes a day of these trades."""
        day = read_day([file(lines(item, *(trades or FIVE)))], item.symbol, item.day)
        ingest = {"symbol": item.symbol, "date": str(item.day), "status": status, "row_count": len(trades)}
        run = f"candles-{next(self._runs)}"
        outcome = staged_outcome(f"{STAGING}/{run}", ingest, candles.minute_candles(day))
        return lambda client: publish(client, run, [outcome])

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

    def days(self, items: list[SymbolDay]) -> Publisher:
        """A batch that publishes one candle, whose close is 9, on each day."""
        run = f"candles-{next(self._runs)}"
        outcomes = []
        for item in items:
            day = read_day([file(lines(item, "1 Buy 0.1 9"))], item.symbol, item.day)
            ingest = {"symbol": item.symbol, "date": str(item.day), "status": "loaded"}
            outcomes.append(staged_outcome(f"{STAGING}/{run}", ingest, candles.minute_candles(day)))
        return lambda client: publish(client, run, outcomes)

    def double(self, item: SymbolDay) -> None:
        """Stores every row of a day a second time."""
        where = f"symbol = '{item.symbol}' AND DATE(open_time) = '{item.day}'"
        self.rows(f"INSERT INTO {names.CANDLES} SELECT * FROM {names.CANDLES} WHERE {where}")

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
NEXT_TO_EACH_OTHER = (dt.date(2026, 11, 27), dt.date(2026, 11, 28))
LIVE = [(0, 1), (1, 1), (2, 1)]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with (
        RunningStack(tmp_path_factory.mktemp("publishers"), ("metadata", "gcs", "bigquery")) as stack,
        pytest.MonkeyPatch.context() as patch,
    ):
        stack.set_environment(patch)
        yield Market(stack)


# a  1 2 3|           4 ... commit
# b       |1 2 ... commit
EVERY_STEP = [*("a" * steps + "b" * STEPS for steps in range(STEPS)), "ab" * STEPS]
EVERY_THIRD = EVERY_STEP[1::3]
ORDERS = {"batch-batch": EVERY_STEP, "live-live": EVERY_STEP, "batch-live": EVERY_THIRD, "live-batch": EVERY_THIRD}


@pytest.mark.parametrize(("pair", "order"), [(pair, order) for pair, orders in ORDERS.items() for order in orders])
def test_publishers_of_the_same_new_days_leave_one_row_per_key(market: Market, pair: str, order: str) -> None:
    item = market.new_day()
    first, second = pair.split("-")
    publishers = {"batch": partial(market.batch, item), "live": partial(market.live, item)}
    interleaved(market.stack, order, a=publishers[first](), b=publishers[second]())
    assert market.candles(item, "archive") == (ARCHIVE if "batch" in pair else [])
    assert len(market.ingests(item)) == ("batch" in pair)
    assert market.candles(item, "live") == (LIVE if "live" in pair else [])
    assert market.candles(item, "archive", names.CANDLE_HISTORY) == []


# The merge of a killed call is still a job of BigQuery's while the next call publishes newer values.
@pytest.mark.parametrize("order", ["a" * steps + "b" * STEPS for steps in range(0, STEPS, 2)], ids=len)
def test_the_merge_of_a_killed_call_changes_nothing_that_is_newer(market: Market, order: str) -> None:
    item = market.new_day()
    interleaved(market.stack, order, a=market.live(item), b=market.live(item, close=2, written_s=60))
    assert market.candles(item, "live") == [(0, 2), (1, 2), (2, 2)]


def test_a_batch_that_publishes_twice_changes_nothing(market: Market) -> None:
    """BigQuery's client repeats a request whose answer it has lost."""
    item = market.new_day()
    market.batch(item)(market.client)
    revision = market.batch(item, *FIVE[:3], "60 Sell 0.5 99", FIVE[4])
    for _ in range(2):
        revision(market.client)
        assert market.candles(item, "archive") == [(0, 101), (1, 99), (1439, 7)]
        assert market.candles(item, "archive", names.CANDLE_HISTORY) == [(1, 100.5)]
        assert len(market.ingests(item)) == 1


def test_a_batch_repairs_what_is_stored_twice(market: Market) -> None:
    item, failed = market.new_day(), market.new_day()
    for each in (item, failed):
        market.batch(each)(market.client)
        market.double(each)
    assert market.candles(item, "archive") == sorted(ARCHIVE * 2)
    market.batch(item)(market.client)
    assert market.candles(item, "archive") == ARCHIVE
    assert market.candles(item, "archive", names.CANDLE_HISTORY) == []
    market.batch(failed, status="failed")(market.client)
    assert market.candles(failed, "archive") == sorted(ARCHIVE * 2)  # a failed day keeps what it has
    market.double(item)
    market.batch(item, *FIVE[:3], "60 Sell 0.5 99", FIVE[4])(market.client)
    assert market.candles(item, "archive") == [(0, 101), (1, 99), (1439, 7)]
    assert market.candles(item, "archive", names.CANDLE_HISTORY) == [(1, 100.5)]


def test_a_live_call_repairs_what_is_stored_twice(market: Market) -> None:
    item = market.new_day()
    market.live(item)(market.client)
    market.double(item)
    market.live(item, close=2, written_s=60)(market.client)
    assert market.candles(item, "live") == [(0, 2), (1, 2), (2, 2)]
    assert market.candles(item, "live", names.CANDLE_HISTORY) == LIVE
    market.double(item)
    market.live(item)(market.client)  # an older version than the one stored twice
    assert market.candles(item, "live") == [(0, 2), (1, 2), (2, 2)]
    assert market.candles(item, "live", names.CANDLE_HISTORY) == LIVE


def test_scattered_days_leave_what_lies_between(market: Market) -> None:
    first, between, last = (SymbolDay("ETHUSDT", day) for day in (dt.date(2020, 3, 25), *NEXT_TO_EACH_OTHER))
    for item in (first, between, last):
        market.batch(item)(market.client)
    market.days([first, last])(market.client)
    assert [market.candles(item, "archive") for item in (first, between, last)] == [[(0, 9)], ARCHIVE, [(0, 9)]]


def test_a_lock_without_its_row_still_excludes(market: Market) -> None:
    market.rows(f"DELETE FROM {names.LOCKS} WHERE TRUE")
    item = market.new_day()
    interleaved(market.stack, "ab" * STEPS, a=market.batch(item), b=market.batch(item))
    assert market.candles(item, "archive") == ARCHIVE
    market.live(item)(market.client)
    assert {(row["table_name"], row["locked_at"]) for row in market.rows(f"SELECT * FROM {names.LOCKS}")} == {
        (names.CANDLES, NOW)
    }


def test_a_missing_table_of_locks_is_named(market: Market) -> None:
    market.rows(f"DROP TABLE {names.LOCKS}")
    try:
        for publisher in (market.batch(market.new_day()), market.live(market.new_day())):
            with pytest.raises(NotFound, match=r"market\.locks"):
                publisher(market.client)
    finally:
        create_warehouse(market.client)


def test_the_view_and_the_command_choose_the_whole_candle(market: Market) -> None:
    item = market.new_day()
    market.batch(item)(market.client)
    market.live(item)(market.client)
    where = f"symbol = '{item.symbol}' AND DATE(open_time) = '{item.day}'"
    market.rows(f"UPDATE {names.CANDLES} SET status = 'partial' WHERE {where} AND source = 'archive' AND close = 101")
    chosen = [("live", "1"), ("archive", "100.5"), ("live", "1"), ("archive", "7")]
    rows = market.rows(f"SELECT source, close FROM {names.CANDLES_BEST} WHERE {where} ORDER BY open_time")
    assert [(row["source"], f"{row['close']:f}") for row in rows] == chosen
    cloud = Cloud({name: value for name, value in market.stack.environ.items() if name != "PGHOST"})
    best = candles_of(cloud, Span(item.symbol, item.day, item.day), "best", MINUTE_US)
    assert [(candle.source.value, f"{candle.close:f}") for candle in best] == chosen
