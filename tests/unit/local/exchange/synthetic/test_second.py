"""The seconds of the live market are those of the archive's day, at any time and across midnight."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest

from bitcoin_pipeline.times import SECOND_US, day_start_us
from local.exchange.synthetic.day import day_plan, synthetic_day
from local.exchange.synthetic.files import tick_directions
from local.exchange.synthetic.second import daily_trades, fills_of_hour, synthetic_second, trades_before

DAY = dt.date(2026, 3, 1)
MIDNIGHT = day_start_us(DAY + dt.timedelta(days=1)) // SECOND_US
"""The end of DAY, seconds since the epoch."""
RATE = 0.5


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT"])
def test_the_seconds_of_a_day_are_the_trades_of_its_file(symbol: str) -> None:
    made = synthetic_day(symbol, DAY, daily_trades(RATE), seed=3)
    seconds = {*range(MIDNIGHT - 86_400, MIDNIGHT - 79_200), *range(MIDNIGHT - 3600, MIDNIGHT)}
    live = [trade for second in sorted(seconds) for trade in synthetic_second(symbol, second, RATE, 3)]
    made_then = (
        (trade, direction)
        for trade, direction in zip(made.trades(), tick_directions(made.price), strict=True)
        if trade.time_us // SECOND_US in seconds
    )
    rows = [(*expected, item) for expected, item in zip(made_then, live, strict=True)]
    assert len(rows) > 5000
    for trade, direction, item in rows:
        assert (item["i"], item["T"], item["S"], item["L"]) == (
            trade.trade_id,
            trade.time_us // 1000,
            str(trade.taker_side),
            direction,
        )
        assert (f"{trade.price:f}", f"{trade.size:f}") == (plain(item["p"]), plain(item["v"]))
        assert item["RPI"] is trade.rpi
    assert [item["seq"] for item in live] == sorted(item["seq"] for item in live)


def plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def test_the_last_trades_reach_into_the_day_before() -> None:
    found = trades_before("ETHUSDT", MIDNIGHT + 60, RATE, 0, 200)
    seconds = range(MIDNIGHT - 1000, MIDNIGHT + 60)
    assert found == [trade for second in seconds for trade in synthetic_second("ETHUSDT", second, RATE, 0)][-200:]
    assert found[0]["T"] < MIDNIGHT * 1000 <= found[-1]["T"]
    assert all(earlier["seq"] <= later["seq"] for earlier, later in pairwise(found))


def test_an_hour_has_the_trades_of_its_seconds() -> None:
    fills = fills_of_hour("SOLUSDT", MIDNIGHT // 3600 - 1, RATE, 0)
    seconds = range(MIDNIGHT - 3600, MIDNIGHT)
    live = [trade for second in seconds for trade in synthetic_second("SOLUSDT", second, RATE, 0)]
    assert (fills.time_us // 1000).tolist() == [trade["T"] for trade in live]


def test_a_part_of_an_uneven_day_is_found_by_its_times() -> None:
    day = dt.date(2024, 1, 1)
    plan, made = day_plan("BTCUSDT", day, 20_000), synthetic_day("BTCUSDT", day, 20_000)
    for from_second, to_second in ((0, 1), (3_600, 3_700), (43_199, 50_000), (86_390, 86_400)):
        from_us, to_us = (day_start_us(day) + second * SECOND_US for second in (from_second, to_second))
        expected = [time for time in made.time_us.tolist() if from_us <= time < to_us]
        assert plan.fills(*plan.between(from_us, to_us)).time_us.tolist() == expected
