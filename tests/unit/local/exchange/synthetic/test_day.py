"""The trades of a synthetic day are such as a real market could make."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from bitcoin_pipeline.times import day_start_us
from local.exchange.synthetic.day import synthetic_day
from local.exchange.synthetic.eras import era_named

DAY = dt.date(2025, 10, 1)


def test_takers_sweep_the_book() -> None:
    made = synthetic_day("BTCUSDT", DAY, 20_000, era=era_named("2019"))
    assert (np.diff(made.time_us) >= 0).all()
    shared = np.diff(made.time_us) == 0
    assert 0.4 < shared.mean() < 0.7
    buys, price = made.is_buy, np.diff(made.price)
    assert (buys[1:] == buys[:-1])[shared].all()
    assert (price[shared & buys[1:]] >= 0).all()
    assert (price[shared & ~buys[1:]] <= 0).all()
    assert (price[shared] != 0).any()
    assert (made.price % 10 == 0).all()  # a tick is 0.10
    assert 0.4 < buys.mean() < 0.6


def test_some_minutes_are_silent_and_all_trades_lie_in_the_day() -> None:
    made = synthetic_day("BTCUSDT", DAY, 200_000)
    since_midnight = made.time_us - day_start_us(DAY)
    assert 0 <= since_midnight.min() < since_midnight.max() < 86_400_000_000
    minutes = len(np.unique(since_midnight // 60_000_000))
    assert 1340 < minutes < 1430


def test_a_day_ends_about_where_the_next_one_begins() -> None:
    today, tomorrow = (synthetic_day("ETHUSDT", DAY + dt.timedelta(days=n), 20_000) for n in (0, 1))
    assert abs(int(today.price[-1]) / int(tomorrow.price[0]) - 1) < 0.002


def test_sizes_reach_a_billion_and_prices_seven_decimals() -> None:
    trades = list(synthetic_day("1000PEPEUSDT", DAY, 20_000).trades())
    assert max(trade.size for trade in trades) > 10**9
    assert min(trade.price for trade in trades).as_tuple().exponent == -7
    assert len({trade.trade_id for trade in trades}) == 20_000


def test_an_unknown_symbol_and_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the synthetic market has BTCUSDT, .*, got 'XRPUSDT'"):
        synthetic_day("XRPUSDT", DAY, 1)
    with pytest.raises(ValueError, match="must not be negative, got -1 and 0"):
        synthetic_day("BTCUSDT", DAY, -1)
