"""The core held to the conformance cases: the archive's file in, exact candles out."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_pipeline.bybit import archive
from bitcoin_pipeline.bybit.rejected_rows import RejectionLimit, lost_minutes, partial_minutes, unknown_form
from bitcoin_pipeline.candle import Candle, Source, merge, minute_candles
from bitcoin_pipeline.times import DAY_US, MINUTE_US
from bitcoin_pipeline.trade import Trade
from tests.support.cases import Case, load_cases

ARCHIVE_CASES = load_cases("archive")
LIVE_CASES = load_cases("live")


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def read(case: Case) -> archive.DayTrades:
    return archive.read_day(io.StringIO(case.archive_text(), newline="\n"), case.symbol, case.day)


def archive_candles(day: archive.DayTrades, trades: list[Trade]) -> list[Candle]:
    return minute_candles(trades, Source.ARCHIVE, partial_minutes=partial_minutes(day.rejected))


def distinct(trades: list[Trade]) -> list[Trade]:
    first: dict[str, Trade] = {}
    for trade in trades:
        first.setdefault(trade.trade_id, trade)
    return list(first.values())


@named(ARCHIVE_CASES)
def test_archive_file_gives_the_exact_candles(case: Case) -> None:
    day = read(case)
    assert archive_candles(day, day.trades) == case.expected_minutes(Source.ARCHIVE)
    assert day.duplicates == case.duplicates
    assert [(row.row, row.reason) for row in day.rejected] == list(case.rejected)
    assert day.rows == len(day.trades) + day.duplicates + len(day.rejected)


@named(ARCHIVE_CASES)
def test_a_minute_that_lacks_all_its_rows_is_lost(case: Case) -> None:
    day = read(case)
    with_trades = {candle.open_time_us for candle in archive_candles(day, day.trades)}
    assert lost_minutes(day.rejected, with_trades) == case.expected_lost_minutes()


@named(ARCHIVE_CASES)
def test_a_file_in_an_unknown_form_has_a_reason(case: Case) -> None:
    day = read(case)
    reason = unknown_form(day.rejected, day.rows, RejectionLimit())
    assert reason is None if not case.unknown_form else (reason or "").startswith(case.unknown_form)


@named(LIVE_CASES)
def test_live_trades_give_the_exact_candles(case: Case) -> None:
    assert minute_candles(distinct(case.live_trades()), Source.LIVE) == case.expected_minutes(Source.LIVE)


@named(ARCHIVE_CASES)
@given(data=st.data())
def test_any_order_of_the_trades_gives_the_same_candles(case: Case, data: st.DataObject) -> None:
    day = read(case)
    shuffled = data.draw(st.permutations(day.trades))
    assert archive_candles(day, shuffled) == case.expected_minutes(Source.ARCHIVE)


@named(LIVE_CASES)
@given(data=st.data())
def test_any_arrival_gives_the_same_candles(case: Case, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(distinct(case.live_trades())))
    assert minute_candles(shuffled, Source.LIVE) == case.expected_minutes(Source.LIVE)


@named([case for case in ARCHIVE_CASES + LIVE_CASES if case.longer])
@pytest.mark.parametrize("source", [Source.ARCHIVE, Source.LIVE])
def test_minutes_merge_to_the_exact_longer_candles(case: Case, source: Source) -> None:
    for interval_us, expected in case.expected_longer(source).items():
        lost = case.expected_lost_minutes()
        assert merge(case.expected_minutes(source), interval_us, lost_minutes=lost) == expected


@named(ARCHIVE_CASES)
@given(data=st.data())
def test_any_order_and_any_steps_between_merge_to_the_same(case: Case, data: st.DataObject) -> None:
    minutes, lost = case.expected_minutes(Source.ARCHIVE), case.expected_lost_minutes()
    shuffled = data.draw(st.permutations(minutes))
    steps = data.draw(st.sampled_from(INTERVAL_CHAINS))
    merged = list(shuffled)
    for interval_us in steps:
        merged = merge(merged, interval_us, lost_minutes=lost)
    assert merged == merge(minutes, steps[-1], lost_minutes=lost)


# Each interval is a multiple of the one before it.
INTERVAL_CHAINS = [
    [length * MINUTE_US for length in chain]
    for size in (1, 2, 3)
    for chain in itertools.combinations((1, 5, 15, 60, 240, DAY_US // MINUTE_US), size)
]
