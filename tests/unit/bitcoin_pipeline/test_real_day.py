"""A real file of Bybit through the core: every field of every candle, recomputed by DuckDB's decimals."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
from decimal import Decimal
from itertools import pairwise

import duckdb
import pytest

from bitcoin_pipeline.bybit.archive import DayTrades, read_day
from bitcoin_pipeline.candle import Source, Status, merge, minute_candles
from bitcoin_pipeline.times import DAY_US, iso
from local.checkout import ROOT

DAY = dt.date(2020, 3, 25)
FILE = ROOT / "tests" / "fixtures" / "bybit" / "BTCUSDT2020-03-25.csv.gz"

# The file is newest first, so the largest row number is the trade matched first.
RECOMPUTED = """
WITH trades AS (
  SELECT row_number() OVER () AS line, side, trdMatchID AS id,
         timestamp::DECIMAL(20, 6) AS seconds, price::DECIMAL(18, 9) AS price, size::DECIMAL(18, 9) AS size
  FROM read_csv(?, all_varchar = true, header = true, parallel = false)
)
SELECT (seconds * 1000000)::BIGINT // 60000000 * 60000000 AS minute_us,
       arg_max(price, line), max(price), min(price), arg_min(price, line),
       sum(size), sum(price * size), count(*),
       coalesce(sum(size) FILTER (side = 'Buy'), 0), coalesce(sum(price * size) FILTER (side = 'Buy'), 0),
       arg_max(id, line), arg_min(id, line)
FROM trades GROUP BY minute_us ORDER BY minute_us
"""


@pytest.fixture(scope="module")
def day() -> DayTrades:
    with gzip.open(FILE, "rt", newline="\n") as lines:
        return read_day(lines, "BTCUSDT", DAY)


def test_fixture_is_the_file_that_provenance_names() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in (FILE.parent / "PROVENANCE.md").read_text("utf-8")


def test_every_row_is_a_trade(day: DayTrades) -> None:
    assert (len(day.trades), day.rows, day.rejected, day.duplicates) == (2693, 2693, [], 0)
    assert iso(day.trades[0].time_us) == "2020-03-25T10:36:12.9822Z"
    assert iso(day.trades[-1].time_us) == "2020-03-25T23:58:20.0647Z"
    assert [trade.order for trade in day.trades] == list(range(2693))


def test_order_agrees_with_the_exchanges_own_tick_direction(day: DayTrades) -> None:
    with gzip.open(FILE, "rt") as lines:
        direction = {row["trdMatchID"]: row["tickDirection"] for row in csv.DictReader(lines)}
    for before, trade in pairwise(day.trades):
        step = (trade.price > before.price) - (trade.price < before.price)
        tick = direction[trade.trade_id]
        assert tick == {1: "PlusTick", -1: "MinusTick"}.get(step, tick), trade
        assert tick.startswith("Zero") == (step == 0), trade


def test_the_day_as_one_candle(day: DayTrades) -> None:
    [candle] = merge(minute_candles(day.trades, Source.ARCHIVE), DAY_US)
    assert (candle.open, candle.high, candle.low, candle.close) == (
        Decimal("6500.0"),
        Decimal("6745.5"),
        Decimal("6457.5"),
        Decimal("6698.5"),
    )
    assert candle.volume == Decimal("1809.520")
    assert candle.trade_count == 2693
    assert candle.status is Status.FINAL


def test_every_field_of_every_minute(day: DayTrades) -> None:
    candles = minute_candles(day.trades, Source.ARCHIVE)
    expected = duckdb.execute(RECOMPUTED, [str(FILE)]).fetchall()
    assert len(candles) == len(expected) == 442
    for candle, row in zip(candles, expected, strict=True):
        mine = (
            candle.open_time_us,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.turnover,
            candle.trade_count,
            candle.buy_volume,
            candle.buy_turnover,
            candle.first_trade_id,
            candle.last_trade_id,
        )
        assert mine == row
    assert {(candle.symbol, candle.source, candle.status) for candle in candles} == {
        ("BTCUSDT", Source.ARCHIVE, Status.FINAL)
    }
