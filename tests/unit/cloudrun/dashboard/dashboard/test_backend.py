"""What runs behind the dashboard's page: where a view ends by default, and the health of the upstreams."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Final

from bitcoin_pipeline.candle import Source
from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.times import SECOND_US, Instant
from dashboard.backend import Backend
from dashboard.cache import Cache
from dashboard.coverage import Coverage
from dashboard.level_of_detail import DAY_S
from dashboard.live_refresh import LATE_S
from dashboard.postgres import Postgres, StoredCandle
from dashboard.recent_trades import RecentTrades
from dashboard.stream import Hub
from dashboard.warehouse import DayLoaded
from tests.support.dashboard import NEWEST_US, SYMBOL, minute
from tests.support.dashboard_days import TODAY, DaysOnly, loaded

NEWEST_S: Final = NEWEST_US // SECOND_US


class Running:
    def __init__(self, **found: list[DayLoaded]) -> None:
        self.now = 1000.0
        warehouse = DaysOnly(found)
        cache = Cache(warehouse, 1000, self._clock)
        coverage = Coverage(warehouse, cache, ("ETHUSDT",), self._clock)
        hub = Hub(cache, self._clock)
        self.backend = Backend(cache, hub, Postgres(), coverage, RecentTrades({}), self._clock)

    def _clock(self) -> Instant:
        return Instant(round(self.now * SECOND_US))


def test_a_view_ends_after_the_newest_minute_also_where_the_feed_has_ended() -> None:
    running = Running(
        BTCUSDT=[loaded(TODAY + dt.timedelta(days=3)), loaded(TODAY + dt.timedelta(days=4), IngestStatus.FAILED)]
    )
    running.backend.cache.take([StoredCandle(minute(NEWEST_S * SECOND_US, Source.LIVE), 0)])

    async def ends() -> tuple[int, int]:
        before = running.backend.end_s(SYMBOL)
        await running.backend.coverage.symbols()
        return before, running.backend.end_s(SYMBOL)

    assert asyncio.run(ends()) == (NEWEST_S + 60, (NEWEST_S // DAY_S + 4) * DAY_S)


def test_postgres_that_does_not_answer_is_reported_although_it_does_not_fail() -> None:
    running = Running()
    running.now += LATE_S
    assert (running.backend.health()["live"], running.backend.is_ready) == ("ok", False)
    running.now += 2
    asyncio.run(running.backend.read_first())
    assert (running.backend.health()["live"], running.backend.is_ready) == ("no answer for 7 s", True)


def test_what_a_page_shows_first_is_read_before_the_server_is_ready() -> None:
    running = Running()
    running.now += LATE_S + 2  # Postgres counts as away
    assert not running.backend.is_ready

    asyncio.run(running.backend.read_first())
    read = {(tile.symbol, tile.level_s) for tile in running.backend.cache.history._tiles}
    assert read == {("ETHUSDT", 60), ("ETHUSDT", 14_400)}
    assert running.backend.is_ready
