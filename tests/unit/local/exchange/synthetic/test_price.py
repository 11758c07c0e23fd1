"""The price of the synthetic market follows from symbol, seed and time, and has no jumps."""

from __future__ import annotations

import datetime as dt

import numpy as np

from bitcoin_pipeline.times import DAY_US, MINUTE_US, SECOND_US, day_start_us
from local.exchange.synthetic.price import price_in_ticks
from local.exchange.synthetic.profiles import PROFILES

MIDNIGHT_US = day_start_us(dt.date(2026, 3, 2))
BTC = PROFILES["BTCUSDT"]


def test_a_time_has_the_same_price_alone_and_among_others() -> None:
    times = MIDNIGHT_US + np.arange(-50, 50) * SECOND_US
    together = price_in_ticks(BTC, 0, times).tolist()
    assert together == [price_in_ticks(BTC, 0, times[place : place + 1])[0] for place in range(100)]
    assert together != price_in_ticks(BTC, 1, times).tolist()
    shares = [price_in_ticks(PROFILES[symbol], 0, times)[:2].tolist() for symbol in ("ETHUSDT", "SOLUSDT")]
    assert shares[0][1] / shares[0][0] != shares[1][1] / shares[1][0]


def test_no_second_moves_the_price_by_a_thousandth_midnight_included() -> None:
    days = MIDNIGHT_US + np.arange(-200, 200) * DAY_US
    for step in (np.int64(1), np.int64(SECOND_US)):
        change = price_in_ticks(BTC, 0, days) / price_in_ticks(BTC, 0, days - step) - 1
        assert np.abs(change).max() < 0.001


def test_the_price_walks_as_a_market_does() -> None:
    price = price_in_ticks(BTC, 0, MIDNIGHT_US + np.arange(2000) * DAY_US)
    daily = np.diff(price) / price[:-1]
    assert 0.015 < daily.std() < 0.035
    assert 0.4 * 651_142 < price.min() < price.max() < 1.6 * 651_142
    minutes = price_in_ticks(BTC, 0, MIDNIGHT_US + np.arange(3000) * MINUTE_US)
    assert 0.0003 < (np.diff(minutes) / minutes[:-1]).std() < 0.0015
