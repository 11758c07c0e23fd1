"""Coverage: what became of each day of a symbol, read once for all viewers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bitcoin_pipeline.candle import Source
from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.times import SECOND_US, Instant
from dashboard.cache import Cache
from dashboard.coverage import DAY_STATES, FRESH_S, Coverage
from dashboard.level_of_detail import DAY_S
from dashboard.postgres import StoredCandle
from dashboard.warehouse import DayLoaded
from tests.support.dashboard import NEWEST_US, SYMBOL, minute
from tests.support.dashboard_days import TODAY, DaysOnly, ago, loaded

NEWEST_S: Final = NEWEST_US // SECOND_US


class Running:
    def __init__(self, **found: list[DayLoaded]) -> None:
        self.now = 1000.0
        self.warehouse = DaysOnly(found)
        self._cache = Cache(self.warehouse, 1000, self._clock)
        self.coverage = Coverage(self.warehouse, self._cache, ("ETHUSDT",), self._clock)

    def _clock(self) -> Instant:
        return Instant(round(self.now * SECOND_US))

    def live(self, *opens_s: int) -> None:
        self._cache.take(StoredCandle(minute(at * SECOND_US, Source.LIVE), 0) for at in opens_s)

    async def days(self) -> dict[str, Any]:
        return await self.coverage.days(SYMBOL)


def test_each_day_has_its_state() -> None:
    days = [
        loaded(ago(7)),
        loaded(ago(6), quarantined=3),
        loaded(ago(5), IngestStatus.FAILED, "gzip: cut short"),
        loaded(ago(4), IngestStatus.NO_TRADES),
        loaded(ago(1)),
    ]
    running = Running(BTCUSDT=days, SOLUSDT=[loaded(ago(90))])
    running.live(NEWEST_S - DAY_S, NEWEST_S)
    found = asyncio.run(running.days())
    assert found == {
        "symbol": SYMBOL,
        "days": {
            "2026-08-02": {"state": "loaded", "reason": "", "quarantined": 0},
            "2026-08-03": {"state": "loaded", "reason": "", "quarantined": 3},
            "2026-08-04": {"state": "failed", "reason": "gzip: cut short", "quarantined": 0},
            "2026-08-05": {"state": "no_trades", "reason": "", "quarantined": 0},
            "2026-08-06": {"state": "missing"},
            "2026-08-07": {"state": "missing"},
            "2026-08-08": {"state": "loaded", "reason": "", "quarantined": 0},
            "2026-08-09": {"state": "live"},
        },
        "age_s": 0,
        "fault": "",
    }
    assert asyncio.run(running.coverage.symbols()) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def test_days_that_cannot_be_refreshed_stay_with_their_age() -> None:
    running = Running(BTCUSDT=[loaded(TODAY)])

    async def requests() -> list[dict[str, Any]]:
        first = await running.days()
        running.warehouse.fault = "quota"
        running.now += FRESH_S + 1
        await running.days()
        while running.coverage.fault != "quota":
            await asyncio.sleep(0)
        return [first, await running.days()]

    first, second = asyncio.run(asyncio.wait_for(requests(), 30))
    assert first["days"] == second["days"] == {"2026-08-09": {"state": "loaded", "reason": "", "quarantined": 0}}
    assert [(days["age_s"], days["fault"]) for days in (first, second)] == [(0, ""), (61, "quota")]


def test_days_are_read_once_for_all_viewers() -> None:
    running = Running()

    async def many() -> None:
        await asyncio.gather(*(running.days() for _ in range(50)))

    asyncio.run(many())
    assert running.warehouse.queries == 1


def test_every_state_of_a_day_is_delivered_to_the_page() -> None:
    assert set(DAY_STATES) == {*map(str, IngestStatus), "live", "missing"}
