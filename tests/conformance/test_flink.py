"""Flink held to the conformance cases: records in Kafka in order of arrival, exact candles in Postgres.

All cases run through one job at once. Each has a symbol of its own, and all are moved to one day, which is later than
the minutes of every earlier test.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bitcoin_pipeline.candle import Candle, Source, merge
from bitcoin_pipeline.times import DAY_US, MINUTE_US, day_start_us
from bitcoin_pipeline.trade import Trade
from tests.support.cases import Case, load_cases
from tests.support.live import LivePath, minutes_of

CASES = load_cases("live")


def moved_trade(trade: Trade, symbol: str, by_us: int) -> Trade:
    return replace(trade, symbol=symbol, time_us=trade.time_us + by_us)


def moved_candle(candle: Candle, symbol: str, by_us: int) -> Candle:
    return replace(candle, symbol=symbol, open_time_us=candle.open_time_us + by_us)


def symbol_of(case: Case) -> str:
    """The symbol of which only this case has trades."""
    return case.name.replace("_", "").upper()


@pytest.fixture(scope="module")
def day_us(live_path: LivePath) -> int:
    """The day to which all cases are moved, after their trades and the records of their minutes were sent."""
    day_us = live_path.fresh_day()
    for case in CASES:
        by_us = day_us - day_start_us(case.day)
        trades = [moved_trade(trade, symbol_of(case), by_us) for trade in case.live_trades()]
        live_path.send_trades(trades)
        live_path.close_minutes(minutes_of(trades))
    live_path.used_us = day_us + DAY_US
    return day_us


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_records_give_the_exact_candles(case: Case, live_path: LivePath, day_us: int) -> None:
    by_us = day_us - day_start_us(case.day)
    live_path.wait_for_candles(
        [moved_candle(candle, symbol_of(case), by_us) for candle in case.expected_minutes(Source.LIVE)]
    )
    for interval_us, expected in case.expected_longer(Source.LIVE).items():
        assert interval_us > MINUTE_US
        merged = merge(live_path.candles(symbol_of(case)), interval_us)
        assert merged == [moved_candle(candle, symbol_of(case), by_us) for candle in expected]
