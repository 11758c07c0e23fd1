"""The dashboard's bars held to the conformance cases: minutes of a plane in, exact longer candles out."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pytest

from bitcoin_pipeline.candle import Candle, Source
from bitcoin_pipeline.times import SECOND_US, Instant, day_start_us
from dashboard.cache import Cache
from dashboard.level_of_detail import DAY_S, INTERVALS_S
from dashboard.postgres import StoredCandle
from dashboard.warehouse import CANDLES, WarehouseError
from tests.support.cases import Case, load_cases

# The minutes here are those of Postgres, which lacks none; `Warehouse.candles` merges over lost minutes of the archive
# in BigQuery (tests/integration/test_candles_batch.py).
CASES = [case for case in load_cases("archive") + load_cases("live") if case.longer and not case.lost_minutes]
COLUMNS = [name for name in CANDLES.names if name not in ("t", "source", "doubt")]


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


def ours(cases: list[Case]) -> list[tuple[Case, int, list[Candle]]]:
    seconds = {value * SECOND_US for value in INTERVALS_S.values()}
    return [
        (case, interval_us // SECOND_US, expected)
        for case in cases
        for interval_us, expected in case.expected_longer(Source.LIVE).items()
        if interval_us in seconds
    ]


@pytest.mark.parametrize(
    ("case", "interval", "expected"), [pytest.param(*item, id=f"{item[0].name}-{item[1]}") for item in ours(CASES)]
)
def test_bars_are_the_exact_longer_candles(case: Case, interval: int, expected: list[Candle]) -> None:
    cache = Cache(NoHistory(), 10**6, lambda: Instant(0))
    cache.take(StoredCandle(candle, 0) for candle in case.expected_minutes(Source.LIVE))
    start = day_start_us(case.day) // SECOND_US
    view = asyncio.run(cache.view(case.symbol, start, start + DAY_S, interval))
    found = view.bars.drop_columns("source").to_pylist()
    assert found == [exact(candle) for candle in expected]
    # Bars that are pushed equal those of an answer.
    live = cache.live(case.symbol)
    assert live is not None
    for candle in expected:
        pushed = live.bar(candle.open_time_us // SECOND_US, interval)
        assert pushed is not None
        assert exact(pushed) == exact(candle)
