"""Candles: minutes from trades, merging, status. The rules' values are in tests/conformance."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.candle import Candle, Source, Status, merge, minute_candles, precedence
from bitcoin_pipeline.times import DAY_US, MINUTE_US
from bitcoin_pipeline.trade import TakerSide, Trade, turnover_of
from tests.support.cases import trade_id

ONE = Candle(
    symbol="BTCUSDT",
    open_time_us=0,
    source=Source.ARCHIVE,
    open=Decimal(2),
    high=Decimal(3),
    low=Decimal(1),
    close=Decimal(2),
    volume=Decimal("0.1"),
    turnover=Decimal("0.2"),
    trade_count=4,
    buy_volume=Decimal("0.05"),
    buy_turnover=Decimal("0.1"),
    first_trade_id=trade_id(1),
    last_trade_id=trade_id(2),
    status=Status.FINAL,
)


def trade(number: int, time_us: int, price: str = "100", size: str = "1", symbol: str = "BTCUSDT") -> Trade:
    amounts = Decimal(price), Decimal(size)
    return Trade(symbol, trade_id(number), time_us, *amounts, TakerSide.BUY, turnover_of(symbol, *amounts), number)


def test_no_trades_no_candles() -> None:
    assert minute_candles([], Source.ARCHIVE) == []
    assert merge([], DAY_US) == []


def test_symbols_stand_apart() -> None:
    candles = minute_candles([trade(1, 0), trade(2, 0, symbol="ETHUSDT"), trade(3, 1)], Source.ARCHIVE)
    assert [(candle.symbol, candle.trade_count) for candle in candles] == [("BTCUSDT", 2), ("ETHUSDT", 1)]


def test_sources_and_symbols_merge_apart() -> None:
    candles = [replace(ONE, source=source, symbol=symbol) for source in Source for symbol in ("ETHUSDT", "BTCUSDT")]
    assert {(candle.symbol, candle.source, candle.trade_count) for candle in merge(candles, DAY_US)} == {
        (symbol, source, 4) for source in Source for symbol in ("ETHUSDT", "BTCUSDT")
    }


def test_partial_minutes_without_trades_make_no_candle() -> None:
    candles = minute_candles([trade(1, MINUTE_US)], Source.ARCHIVE, partial_minutes=[0, 2 * MINUTE_US])
    assert [(candle.open_time_us, candle.status) for candle in candles] == [(MINUTE_US, Status.FINAL)]


@pytest.mark.parametrize(
    ("minutes", "whole"),
    [
        ((True, True), True),
        ((True, False), False),
        ((True, None), None),
        ((None, False), False),
        ((None, None), None),
    ],
)
def test_a_longer_candle_is_confirmed_when_each_of_its_minutes_is(
    minutes: tuple[bool | None, bool | None], *, whole: bool | None
) -> None:
    candles = [
        replace(ONE, open_time_us=place * MINUTE_US, confirmed=confirmed) for place, confirmed in enumerate(minutes)
    ]
    assert [candle.confirmed for candle in merge(candles, DAY_US)] == [whole]


def test_candles_that_differ_in_confirmed_alone_are_equal() -> None:
    assert replace(ONE, confirmed=True) == ONE


def test_a_minute_that_comes_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="two candles of BTCUSDT archive open at 1970-01-01T00:00:00Z"):
        merge([ONE, replace(ONE, close=Decimal(3))], DAY_US)


def test_a_kline_has_no_count_and_no_buy_side() -> None:
    kline = replace(ONE, trade_count=None, buy_volume=None, buy_turnover=None, first_trade_id=None, last_trade_id=None)
    [merged] = merge([kline, replace(kline, open_time_us=MINUTE_US)], DAY_US)
    assert (merged.volume, merged.trade_count, merged.buy_volume, merged.buy_turnover) == (
        Decimal("0.2"),
        None,
        None,
        None,
    )
    [mixed] = merge([ONE, replace(kline, open_time_us=MINUTE_US)], DAY_US)
    assert (mixed.trade_count, mixed.buy_volume, mixed.first_trade_id, mixed.last_trade_id) == (
        None,
        None,
        ONE.first_trade_id,
        None,
    )


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ((Status.FINAL, Status.FINAL), Status.FINAL),
        ((Status.FINAL, Status.REPAIRED), Status.REPAIRED),
        ((Status.REPAIRED, Status.FORMING), Status.FORMING),
        ((Status.FORMING, Status.PARTIAL), Status.PARTIAL),
        ((Status.PARTIAL, Status.REPAIRED, Status.FINAL), Status.PARTIAL),
    ],
)
def test_the_worst_minute_gives_the_status(statuses: tuple[Status, ...], worst: Status) -> None:
    minutes = [replace(ONE, open_time_us=place * MINUTE_US, status=status) for place, status in enumerate(statuses)]
    assert merge(minutes, DAY_US)[0].status is worst
    assert merge(reversed(minutes), DAY_US)[0].status is worst


def test_a_stored_status_may_only_rise() -> None:
    assert sorted(Status, key=lambda status: status.rank) == [
        Status.FORMING,
        Status.FINAL,
        Status.PARTIAL,
        Status.REPAIRED,
    ]


def test_a_complete_candle_goes_before_a_partial_one_of_a_better_source() -> None:
    ranked = [
        *((Source.ARCHIVE, Status.FINAL), (Source.LIVE, Status.FINAL), (Source.KLINE, Status.FINAL)),
        *((Source.ARCHIVE, Status.PARTIAL), (Source.LIVE, Status.PARTIAL)),
    ]
    candles = [replace(ONE, source=source, status=status) for source, status in ranked]
    assert [precedence(candle) for candle in candles] == [1, 2, 3, 4, 5]
    assert precedence(replace(ONE, status=Status.REPAIRED)) == 1
    assert precedence(replace(ONE, source=Source.LIVE, status=Status.REPAIRED)) == 2
    assert precedence(replace(ONE, source=Source.LIVE, status=Status.FORMING)) == 5


def test_the_callers_decimal_context_changes_nothing() -> None:
    trades = [trade(1, 0, "0.0000123", "999999999999999999"), trade(2, 1, "0.0000124", "0.000000001")]
    with localcontext() as context:
        context.prec = 2
        [candle] = minute_candles(trades, Source.ARCHIVE)
        [longer] = merge([candle], DAY_US)
    assert candle.volume == longer.volume == Decimal("999999999999999999.000000001")


prices = st.integers(min_value=1, max_value=10**11 - 1).map(lambda units: Decimal(units).scaleb(-9))
sizes = st.integers(min_value=1, max_value=10**27 - 1).map(lambda units: Decimal(units).scaleb(-9))


@given(
    st.lists(st.tuples(st.integers(min_value=0, max_value=DAY_US - 1), prices, sizes), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_sums_are_those_of_fractions_in_any_order(content: list[tuple[int, Decimal, Decimal]], random: Random) -> None:
    trades = [trade(number, time, str(price), f"{size:f}") for number, (time, price, size) in enumerate(content)]
    minutes = minute_candles(trades, Source.LIVE)
    random.shuffle(trades)
    assert minute_candles(trades, Source.LIVE) == minutes
    [day] = merge(minutes, DAY_US)
    ordered = sorted(trades, key=lambda item: (item.time_us, item.order))
    assert Fraction(day.volume) == sum(Fraction(item.size) for item in trades)
    assert Fraction(day.turnover) == sum(Fraction(item.turnover) for item in trades)
    assert (day.open, day.close) == (ordered[0].price, ordered[-1].price)
    assert (day.high, day.low) == (max(item.price for item in trades), min(item.price for item in trades))
