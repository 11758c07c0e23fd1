"""The dashboard's bars held to the conformance cases: minutes of a plane in, exact longer candles out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import DAY_US, SECOND_US, Instant, day_start_us
from dashboard.cache import Cache
from dashboard.level_of_detail import DAY_S, INTERVALS_S, MINUTE_S
from dashboard.postgres import StoredCandle
from dashboard.warehouse import CANDLES, WarehouseError
from tests.support.cases import Case, load_cases

CASES = [case for case in load_cases("archive") + load_cases("live") if case.longer]
# Postgres lacks no minute, so these are of history.
WITH_LOST_MINUTES = [case for case in CASES if case.lost_minutes]
COLUMNS = [name for name in CANDLES.names if name in Candle.__slots__ and name != "source"]


class Minutes:
    """A source of history with the archive's minutes of a case, and a row without values for each that is lost."""

    def __init__(self, case: Case) -> None:
        rows = [{**exact(candle), "source": "archive"} for candle in case.expected_minutes(Source.ARCHIVE)]
        lost = [{"t": time // SECOND_US, "doubt": Status.PARTIAL.doubt} for time in case.expected_lost_minutes()]
        self._rows = pa.Table.from_pylist(rows + lost, CANDLES)

    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        assert level == MINUTE_S
        times = self._rows["t"]
        return self._rows.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))


class NoHistory:
    """A source of history that always fails."""

    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        raise WarehouseError("none here")


def exact(candle: Candle) -> dict[str, object]:
    return {
        "t": candle.open_time_us // SECOND_US,
        "doubt": candle.status.doubt,
        **{name: getattr(candle, name) for name in COLUMNS},
    }


def ours(cases: list[Case], source: Source) -> list[tuple[Case, int, list[Candle]]]:
    seconds = {value * SECOND_US for value in INTERVALS_S.values()}
    return [
        (case, interval_us // SECOND_US, expected)
        for case in cases
        for interval_us, expected in case.expected_longer(source).items()
        if interval_us in seconds
    ]


@pytest.mark.parametrize(
    ("case", "interval", "expected"),
    [
        pytest.param(*item, id=f"{item[0].name}-{item[1]}")
        for item in ours([case for case in CASES if not case.lost_minutes], Source.LIVE)
    ],
)
def test_bars_are_the_exact_longer_candles(case: Case, interval: int, expected: list[Candle]) -> None:
    cache = Cache(NoHistory(), 10**6, lambda: Instant(0))
    cache.take(StoredCandle(candle, 0) for candle in case.expected_minutes(Source.LIVE))
    start = day_start_us(case.day) // SECOND_US
    view = asyncio.run(cache.view(case.symbol, start, start + DAY_S, interval))
    found = view.bars.select(["t", "doubt", *COLUMNS]).to_pylist()
    assert found == [exact(candle) for candle in expected]
    # Bars that are pushed equal those of an answer.
    live = cache.live(case.symbol)
    assert live is not None
    for candle in expected:
        pushed = live.bar(candle.open_time_us // SECOND_US, interval)
        assert pushed is not None
        assert exact(pushed) == exact(candle)


@pytest.mark.parametrize(
    ("case", "interval", "expected"),
    [pytest.param(*item, id=f"{item[0].name}-{item[1]}") for item in ours(WITH_LOST_MINUTES, Source.ARCHIVE)],
)
def test_bars_over_a_lost_minute_of_the_archive_are_partial(case: Case, interval: int, expected: list[Candle]) -> None:
    cache = Cache(Minutes(case), 10**6, lambda: Instant(0), read_ahead=False)
    # A live minute of the next day: bars of the case's day are then merged from its minutes, whatever their interval.
    [first, *_] = expected
    next_day = day_start_us(case.day) + DAY_US
    cache.take([StoredCandle(replace(first, open_time_us=next_day, source=Source.LIVE), 0)])
    start = day_start_us(case.day) // SECOND_US
    view = asyncio.run(cache.view(case.symbol, start, start + DAY_S, interval))
    assert view.bars.select(["t", "doubt", *COLUMNS]).to_pylist() == [exact(candle) for candle in expected]


def test_a_live_candle_takes_the_place_of_a_lost_minute() -> None:
    [case] = [case for case in WITH_LOST_MINUTES if case.name == "minute_of_rejected_rows_only"]
    [lost] = case.expected_lost_minutes()
    cache = Cache(Minutes(case), 10**6, lambda: Instant(0), read_ahead=False)
    [first, *_] = case.expected_minutes(Source.LIVE)
    start = day_start_us(case.day) // SECOND_US
    for status in (Status.PARTIAL, Status.FINAL):
        cache.take([StoredCandle(replace(first, open_time_us=lost, status=status), 0)])
        view = asyncio.run(cache.view(case.symbol, start, start + DAY_S, 300))
        assert view.bars["doubt"].to_pylist() == [status.doubt, Status.FINAL.doubt]
        assert view.bars["trade_count"].to_pylist() == [3, 1]
        minutes = asyncio.run(cache.view(case.symbol, start, start + DAY_S, MINUTE_S))
        assert [(t - start) // MINUTE_S for t in minutes.bars["t"].to_pylist()] == [0, 1, 2, 5]
