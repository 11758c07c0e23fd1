"""What runs behind the dashboard's page: where a look ends, what became of each day, what is told of upstream."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from bitcoin_pipeline.candle import Source
from bitcoin_pipeline.ingests import IngestStatus
from bitcoin_pipeline.times import SECOND_US
from dashboard.cache import Cache
from dashboard.postgres import Postgres, Stored
from dashboard.service import DAYS_FRESH_S, SILENT_S, Service
from dashboard.stream import Hub
from dashboard.tape import Tape
from dashboard.warehouse import CANDLES, DayLoaded, WarehouseError
from tests.support.dashboard import NEWEST_US, SYMBOL, minute

DAY: Final = 86_400
NEWEST_S: Final = NEWEST_US // SECOND_US
TODAY: Final = dt.date(2026, 8, 9)


@dataclass
class History:
    """BigQuery with days and no candles; while `fault` is set, it fails."""

    found: dict[str, list[DayLoaded]] = field(default_factory=dict)
    fault: str = ""
    asked: int = 0
    answering: threading.Event = field(default_factory=threading.Event)

    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        return CANDLES.empty_table()

    def days(self) -> dict[str, list[DayLoaded]]:
        self.asked += 1
        assert self.answering.wait(30)
        if self.fault:
            raise WarehouseError(self.fault)
        return self.found


class Running:
    def __init__(self, **found: list[DayLoaded]) -> None:
        self.now = 1000.0
        self.history = History(found)
        self.history.answering.set()
        cache = Cache(self.history, 1000, lambda: self.now)
        hub = Hub(cache, lambda: self.now)
        self.service = Service(cache, hub, Postgres(), self.history, Tape({}), ("ETHUSDT",), lambda: self.now)

    def live(self, *opens_s: int) -> None:
        self.service.cache.take(Stored(minute(at * SECOND_US, Source.LIVE), 0) for at in opens_s)

    async def coverage(self) -> dict[str, Any]:
        return await self.service.coverage(SYMBOL)


def loaded(
    day: dt.date, status: IngestStatus = IngestStatus.LOADED, reason: str = "", quarantined: int = 0
) -> DayLoaded:
    last = dt.datetime.combine(day, dt.time(23, 59, 59, 500_000), dt.UTC) if status is IngestStatus.LOADED else None
    return DayLoaded(day, status, reason, quarantined, last)


def ago(days: int) -> dt.date:
    return TODAY - dt.timedelta(days)


def test_each_day_says_what_became_of_it() -> None:
    days = [
        loaded(ago(7)),
        loaded(ago(6), quarantined=3),
        loaded(ago(5), IngestStatus.FAILED, "gzip: cut short"),
        loaded(ago(4), IngestStatus.NO_TRADES),
        loaded(ago(1)),
    ]
    running = Running(BTCUSDT=days, SOLUSDT=[loaded(ago(90))])
    running.live(NEWEST_S - DAY, NEWEST_S)
    told = asyncio.run(running.coverage())
    assert told == {
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
    assert asyncio.run(running.service.symbols()) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def test_days_that_cannot_be_refreshed_stay_with_their_age() -> None:
    running = Running(BTCUSDT=[loaded(TODAY)])

    async def looks() -> list[dict[str, Any]]:
        first = await running.coverage()
        running.history.fault = "quota"
        running.now += DAYS_FRESH_S + 1
        await running.coverage()
        while running.service.health()["days"] != "quota":
            await asyncio.sleep(0)
        return [first, await running.coverage()]

    first, second = asyncio.run(asyncio.wait_for(looks(), 30))
    assert first["days"] == second["days"] == {"2026-08-09": {"state": "loaded", "reason": "", "quarantined": 0}}
    assert [(told["age_s"], told["fault"]) for told in (first, second)] == [(0, ""), (61, "quota")]


def test_days_are_asked_for_once_whoever_looks() -> None:
    running = Running()

    async def many() -> None:
        await asyncio.gather(*(running.coverage() for _ in range(50)))

    asyncio.run(many())
    assert running.history.asked == 1


def test_a_look_ends_behind_the_newest_minute_also_where_the_feed_has_ended() -> None:
    running = Running(
        BTCUSDT=[loaded(TODAY + dt.timedelta(days=3)), loaded(TODAY + dt.timedelta(days=4), IngestStatus.FAILED)]
    )
    running.live(NEWEST_S)

    async def ends() -> tuple[int, int]:
        before = running.service.end(SYMBOL)
        await running.service.symbols()
        return before, running.service.end(SYMBOL)

    assert asyncio.run(ends()) == (NEWEST_S + 60, (NEWEST_S // DAY + 4) * DAY)


def test_postgres_that_does_not_answer_is_told_although_it_does_not_fail() -> None:
    running = Running()
    running.now += SILENT_S
    assert (running.service.health()["live"], running.service.is_ready) == ("ok", False)
    running.now += 2
    assert (running.service.health()["live"], running.service.is_ready) == ("no answer for 7 s", True)
