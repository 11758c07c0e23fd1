"""The dashboard's cache: bars of live minutes and history, one read for all viewers, faults, upper bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest

from bitcoin_pipeline.candle import Candle, Source, Status, merge
from bitcoin_pipeline.times import SECOND_US, Instant, parse_interval
from dashboard.cache import Cache, View
from dashboard.history import EMPTY_FRESH_S, FRESH_S, LEAST_ROWS, MAX_QUERIES, RETRY_S, STALE_S
from dashboard.level_of_detail import DAY_S, MINUTE_S, TILE_ROWS
from dashboard.postgres import StoredCandle
from dashboard.warehouse import CANDLES, WarehouseError

NOON: Final = 20_000 * DAY_S + DAY_S // 2
"""2024-10-04T12:00:00Z."""


def minute(t: int, source: Source = Source.LIVE, status: Status = Status.FINAL, close: str = "100.5") -> Candle:
    one = Decimal(1)
    return Candle(
        "BTCUSDT", t * SECOND_US, source, Decimal(100), Decimal(101), Decimal(99), Decimal(close),
        one, Decimal(100), 3, one / 2, Decimal(50), "a", "b", status,
    )  # fmt: skip


def table(candles: Iterable[Candle]) -> pa.Table:
    rows = [
        {
            "t": candle.open_time_us // SECOND_US,
            "source": str(candle.source),
            "doubt": candle.status.doubt,
            **{name: getattr(candle, name) for name in CANDLES.names if name in Candle.__slots__ and name != "source"},
            "archive_count": candle.trade_count if candle.source is Source.ARCHIVE else None,
        }
        for candle in candles
    ]
    return pa.Table.from_pylist(rows, CANDLES)


@dataclass
class Warehouse:
    """A source of history with these minutes. `queries`: the parameters of every query.

    While `fault` is set, queries fail; while `answering` is not set, they wait; `answered` replaces their result.
    """

    minutes: list[Candle] = field(default_factory=list)
    fault: str = ""
    queries: list[tuple[str, int, int, int]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    answered: pa.Table | None = None

    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        self.queries.append((symbol, level, start, end))
        assert self.answering.wait(30)
        if self.answered is not None:
            return self.answered
        if self.fault:
            raise WarehouseError(self.fault)
        found = [c for c in self.minutes if c.symbol == symbol and start <= c.open_time_us // SECOND_US < end]
        return table(found if level == MINUTE_S else merge(found, level * SECOND_US))


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> Instant:
        return Instant(round(self.now * SECOND_US))


class Harness:
    def __init__(self, history: Iterable[Candle] = (), max_rows: int = 10**6, *, read_ahead: bool = False) -> None:
        self.clock = Clock()
        self.warehouse = Warehouse(list(history))
        self.warehouse.answering.set()
        self.cache = Cache(self.warehouse, max_rows, self.clock, read_ahead=read_ahead)

    def take(self, *candles: Candle) -> list[StoredCandle]:
        return self.cache.take([StoredCandle(candle, 0) for candle in candles])

    def view(self, start: int, end: int, interval: int | None = MINUTE_S, **options: Any) -> View:
        """A view; the reads that it started are over when it is returned."""

        async def viewed() -> View:
            view = await self.cache.view("BTCUSDT", start, end, interval, **options)
            self.warehouse.answering.set()
            if self.cache.history.reading_ahead is not None:
                await self.cache.history.reading_ahead
            for task in list(self.cache.history.reads.values()):  # renewals, for which a view does not wait
                await task
            return view

        return asyncio.run(viewed())


def times(view: View) -> list[int]:
    found: list[int] = view.bars["t"].to_pylist()
    return found


def test_live_and_history_are_one_series() -> None:
    day = NOON - DAY_S // 2
    old = [minute(t, Source.ARCHIVE) for t in range(day - 2 * DAY_S, day - DAY_S + 600, MINUTE_S)]
    run = Harness(old)
    run.take(*(minute(t) for t in range(day - 600, NOON + MINUTE_S, MINUTE_S)))
    view = run.view(day - 2 * DAY_S, NOON + MINUTE_S, limit=5000)
    assert times(view) == [
        *range(day - 2 * DAY_S, day - DAY_S + 600, MINUTE_S),
        *range(day - 600, NOON + MINUTE_S, MINUTE_S),
    ]
    assert view.bars.schema == CANDLES


def test_the_best_of_a_minute_s_sources_is_shown() -> None:
    run = Harness([minute(NOON, Source.ARCHIVE, close="1"), minute(NOON + 60, Source.KLINE, close="2")])
    run.take(
        minute(NOON, close="10"),
        minute(NOON + 60, status=Status.PARTIAL, close="20"),
        minute(NOON + 120, status=Status.PARTIAL, close="30"),
    )
    view = run.view(NOON, NOON + 180)
    assert view.bars["close"].to_pylist() == [Decimal(1), Decimal(2), Decimal(30)]
    assert view.bars["source"].to_pylist() == ["archive", "kline", "live"]


def test_a_live_row_is_newer_than_its_copy_in_history() -> None:
    run = Harness([minute(NOON, Source.LIVE, close="1")])
    run.take(minute(NOON, status=Status.PARTIAL, close="2"))
    view = run.view(NOON, NOON + 60)
    assert view.bars["close"].to_pylist() == [Decimal(2)]
    assert view.bars["doubt"].to_pylist() == [Status.PARTIAL.doubt]


@pytest.mark.parametrize("word", ["5m", "15m", "1h", "4h", "1d"])
def test_longer_bars_are_the_core_s_merge(word: str) -> None:
    day = NOON - DAY_S // 2
    history = [
        minute(t, Source.ARCHIVE, close=f"{99 + t // 60 % 20 / 10}")
        for t in range(day - 4 * DAY_S, day - DAY_S, MINUTE_S)
    ]
    live = [
        replace(minute(t, close=f"{99 + t // 60 % 13 / 10}"), confirmed=[True, None, t // 60 % 7 > 0][t // 14_400 % 3])
        for t in range(day - DAY_S, NOON, MINUTE_S)
    ]
    run = Harness(history)
    run.take(*live)
    interval_us = parse_interval(word)
    view = run.view(day - 4 * DAY_S, NOON, interval_us // SECOND_US)
    expected = merge((replace(candle, source=Source.LIVE) for candle in (*history, *live)), interval_us)
    of_planes = ["source", "archive_count", "live_count"]
    assert view.bars.drop_columns(of_planes) == table(expected[-view.bars.num_rows :]).drop_columns(of_planes)
    assert view.bars.num_rows == len(expected)


def test_history_is_read_once_for_all_viewers() -> None:
    run = Harness([minute(NOON, Source.ARCHIVE)])

    async def many() -> list[View]:
        return await asyncio.gather(*(run.cache.view("BTCUSDT", NOON, NOON + 60, MINUTE_S) for _ in range(50)))

    views = asyncio.run(many())
    assert [times(view) for view in views] == [[NOON]] * 50
    assert len(run.warehouse.queries) == 1


def test_what_is_old_is_shown_and_renewed() -> None:
    run = Harness([minute(NOON, Source.ARCHIVE, close="1")])
    run.view(NOON, NOON + 60)
    run.warehouse.minutes = [minute(NOON, Source.ARCHIVE, close="2")]
    run.clock.now += FRESH_S
    assert run.view(NOON, NOON + 60).bars["close"].to_pylist() == [Decimal(1)]
    assert len(run.warehouse.queries) == 1
    run.clock.now += 1
    run.warehouse.answering.clear()
    old = run.view(NOON, NOON + 60)
    assert old.history_age_s == FRESH_S + 1
    assert old.bars["close"].to_pylist() == [Decimal(1)]
    assert run.view(NOON, NOON + 60).bars["close"].to_pylist() == [Decimal(2)]
    assert len(run.warehouse.queries) == 2


def test_a_failed_renewal_keeps_the_old_rows_and_reports_their_age() -> None:
    run = Harness([minute(NOON, Source.ARCHIVE)])
    run.view(NOON, NOON + 60)
    run.warehouse.fault = "away"
    run.clock.now += FRESH_S + 1
    run.view(NOON, NOON + 60)
    view = run.view(NOON, NOON + 60)
    assert (times(view), view.history_age_s, view.fault) == ([NOON], FRESH_S + 1, "away")
    assert len(run.warehouse.queries) == 2  # no second attempt before RETRY_S
    run.warehouse.fault = ""
    run.clock.now += RETRY_S
    run.view(NOON, NOON + 60)
    view = run.view(NOON, NOON + 60)
    assert (times(view), view.history_age_s, view.fault) == ([NOON], 0, "")


def test_without_history_live_minutes_are_shown() -> None:
    run = Harness()
    run.warehouse.fault = "away"
    run.take(minute(NOON))
    view = run.view(NOON - 600, NOON + 60)
    assert (times(view), view.history_age_s, view.fault) == ([NOON], None, "away")


def test_the_bound_holds_and_tiles_that_were_not_used_for_longest_are_dropped_first() -> None:
    width = TILE_ROWS * MINUTE_S
    first = NOON - NOON % width
    history = [minute(t, Source.ARCHIVE) for t in range(first, first + 4 * width, MINUTE_S)]
    run = Harness(history, max_rows=2 * TILE_ROWS)
    for at in (0, 1, 0, 2):
        run.clock.now += 1
        run.view(first + at * width, first + at * width + 60)
    assert run.cache.history.held_rows() == 2 * TILE_ROWS
    count = len(run.warehouse.queries)
    run.view(first, first + 60)
    assert len(run.warehouse.queries) == count
    assert times(run.view(first + width, first + width + 60)) == [first + width]
    assert len(run.warehouse.queries) == count + 1


def test_all_of_a_history_with_a_gap_of_years_fits_in_minutes() -> None:
    """Time without candles takes no room: a day and two minutes years after it are shown in minutes."""
    old = [minute(t, Source.ARCHIVE) for t in range(NOON - 2000 * DAY_S, NOON - 2000 * DAY_S + 600, MINUTE_S)]
    run = Harness(old)
    run.take(minute(NOON), minute(NOON + MINUTE_S))
    expected = [*range(NOON - 2000 * DAY_S, NOON - 2000 * DAY_S + 600, MINUTE_S), NOON, NOON + MINUTE_S]
    for interval in (None, MINUTE_S):  # the first finds the interval by itself
        view = run.view(NOON + 2 * MINUTE_S - 2500 * DAY_S, NOON + 2 * MINUTE_S, interval)
        assert (times(view), view.interval_s, view.is_cut) == (expected, MINUTE_S, False)
    minutes_read = [query for query in run.warehouse.queries if query[1] == MINUTE_S]
    assert len(minutes_read) == 2  # what the day and the live days lie in, once


def test_a_bar_has_the_number_of_trades_of_each_plane() -> None:
    """At noon both planes have the minute; of the one after it only the live plane has trades."""
    day = NOON - DAY_S // 2
    archive = [replace(minute(t, Source.ARCHIVE), trade_count=7) for t in range(day, NOON + MINUTE_S, MINUTE_S)]
    run = Harness(archive)
    run.take(minute(NOON), minute(NOON + MINUTE_S))
    bars = run.view(NOON - MINUTE_S, NOON + 2 * MINUTE_S).bars
    assert bars["source"].to_pylist() == ["archive", "archive", "live"]
    assert bars["archive_count"].to_pylist() == [7, 7, None]
    assert bars["live_count"].to_pylist() == [None, 3, 3]


def test_a_link_across_a_gap_begins_where_it_names() -> None:
    old = [minute(t, Source.ARCHIVE) for t in range(NOON - 2000 * DAY_S, NOON - 2000 * DAY_S + 600, MINUTE_S)]
    run = Harness(old)
    run.take(minute(NOON), minute(NOON + MINUTE_S))
    view = run.view(NOON - 2000 * DAY_S + 300, NOON + MINUTE_S, MINUTE_S)
    assert times(view) == [*range(NOON - 2000 * DAY_S + 300, NOON - 2000 * DAY_S + 600, MINUTE_S), NOON]
    assert (view.start_s, view.end_s, view.is_cut) == (NOON - 2000 * DAY_S + 300, NOON + MINUTE_S, False)


def test_more_bars_than_there_is_room_for_are_the_newest_and_counted_as_cut() -> None:
    run = Harness([minute(t, Source.ARCHIVE) for t in range(NOON - 3 * DAY_S, NOON, MINUTE_S)])
    view = run.view(NOON - 3 * DAY_S, NOON, MINUTE_S)
    assert times(view) == list(range(NOON - 2000 * MINUTE_S, NOON, MINUTE_S))
    assert (view.start_s, view.is_cut) == (NOON - 2000 * MINUTE_S, True)


def test_an_empty_span_slides_to_the_newest_bars_before_it() -> None:
    run = Harness([minute(NOON - 100 * DAY_S + t, Source.ARCHIVE) for t in range(0, 600, MINUTE_S)])
    assert times(run.view(NOON - DAY_S, NOON)) == []
    view = run.view(NOON - DAY_S, NOON, slide=True)
    assert times(view) == [NOON - 100 * DAY_S + t for t in range(0, 600, MINUTE_S)]
    assert view.end_s - view.start_s == DAY_S
    assert times(run.view(NOON - 200 * DAY_S, NOON - 101 * DAY_S, slide=True)) == []


def test_only_changed_rows_are_returned() -> None:
    run = Harness()
    assert len(run.take(minute(NOON), minute(NOON + 60))) == 2
    assert run.take(minute(NOON), minute(NOON + 60)) == []
    assert [row.candle.close for row in run.take(minute(NOON, close="7"))] == [Decimal(7)]


def test_live_minutes_are_those_of_two_days() -> None:
    run = Harness()
    day = NOON - DAY_S // 2
    run.take(minute(day - DAY_S), minute(day - 60), minute(NOON))
    run.take(minute(day + DAY_S))
    assert times(run.view(day - DAY_S, day + DAY_S + 60, limit=5000)) == [NOON, day + DAY_S]
    assert run.take(minute(day - 60, close="9")) == []


def test_minutes_without_viewers_do_not_pile_up() -> None:
    run = Harness()
    for n in range(10):
        run.take(minute(NOON + n * DAY_S))
    assert [sorted(t for t, _ in rows) for rows in run.cache._unwritten.values()] == [
        [NOON + 8 * DAY_S, NOON + 9 * DAY_S]
    ]


#   archive  |--live--|  archive
def test_a_feed_that_ended_hides_nothing_that_came_after() -> None:
    day = NOON - DAY_S // 2
    run = Harness([minute(t, Source.ARCHIVE) for t in (day - 2 * DAY_S, day + DAY_S, day + 300 * DAY_S)])
    run.take(minute(NOON))
    view = run.view(day - 2 * DAY_S, day + 301 * DAY_S, DAY_S)
    assert times(view) == [day - 2 * DAY_S, day, day + DAY_S, day + 300 * DAY_S]
    minutes_read = sum(end - start for _, level, start, end in run.warehouse.queries if level == MINUTE_S)
    assert minutes_read == 2 * TILE_ROWS * MINUTE_S  # the live days lie in two tiles
    slid = run.view(day + 400 * DAY_S, day + 401 * DAY_S, slide=True)
    assert times(slid) == [day + 300 * DAY_S]


def test_a_tile_that_may_lack_days_which_were_live_is_waited_for() -> None:
    run = Harness([minute(NOON - 20 * DAY_S, Source.ARCHIVE)])
    run.view(NOON - 20 * DAY_S, NOON - 19 * DAY_S, 900)
    run.warehouse.minutes.append(minute(NOON - 19 * DAY_S, Source.LIVE))
    run.clock.now += STALE_S
    assert times(run.view(NOON - 20 * DAY_S, NOON - 18 * DAY_S, 900)) == [NOON - 20 * DAY_S, NOON - 19 * DAY_S]
    run.clock.now += STALE_S
    run.warehouse.fault = "away"
    view = run.view(NOON - 20 * DAY_S, NOON - 18 * DAY_S, 900)
    assert (times(view), view.fault, view.is_whole) == ([NOON - 20 * DAY_S, NOON - 19 * DAY_S], "away", True)


def test_queries_are_bounded() -> None:
    warehouse = Warehouse()
    cache = Cache(warehouse, 10**6, Clock(), 0.01, read_ahead=False)

    async def views() -> View:
        for n in range(MAX_QUERIES + 10):
            view = await cache.view("BTCUSDT", n * 10 * DAY_S, n * 10 * DAY_S + 60, MINUTE_S)
        assert len(cache.history.reads) == MAX_QUERIES
        warehouse.answering.set()
        await asyncio.wait(list(cache.history.reads.values()))
        return view

    view = asyncio.run(views())
    assert (view.fault, view.is_whole) == ("too much is being read", False)
    assert len(warehouse.queries) == MAX_QUERIES


def test_the_fault_of_history_is_reported_until_it_answers() -> None:
    run = Harness()
    run.warehouse.fault = "away"
    assert not run.view(NOON, NOON + 60).is_whole
    assert run.cache.history.fault == "away"
    run.warehouse.fault = ""
    run.clock.now += RETRY_S
    assert run.view(NOON, NOON + 60).is_whole
    assert run.cache.history.fault == ""


def test_refreshing_for_ever_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = 10  # without a checkpoint, ten refreshes leave more than 5 MiB behind
    monkeypatch.setattr("dashboard.tables.WRITES_PER_CHECKPOINT", writes)
    run = Harness(minute(NOON - NOON % (2 * DAY_S) + t, Source.ARCHIVE) for t in range(0, 2 * DAY_S, MINUTE_S))

    async def refreshes(times: int) -> None:
        for _ in range(times):
            run.clock.now += FRESH_S + 1
            await run.cache.view("BTCUSDT", NOON, NOON + 60, MINUTE_S)
            for task in list(run.cache.history.reads.values()):
                await task

    run.warehouse.answered = run.warehouse.candles("BTCUSDT", MINUTE_S, NOON - NOON % (2 * DAY_S), NOON + 2 * DAY_S)
    asyncio.run(refreshes(writes))
    before = run.cache._tables.memory_bytes()
    asyncio.run(refreshes(2 * writes))
    assert run.cache._tables.memory_bytes() <= before + 2**20


def test_a_view_does_not_wait_for_history_that_hangs() -> None:
    warehouse = Warehouse([minute(NOON - DAY_S, Source.ARCHIVE)])
    cache = Cache(warehouse, 1000, Clock(), 0.01, read_ahead=False)
    cache.take([StoredCandle(minute(NOON), 0)])

    async def views() -> tuple[View, View]:
        first = await cache.view("BTCUSDT", NOON - 2 * DAY_S, NOON + 60, MINUTE_S, limit=5000)
        warehouse.answering.set()
        await asyncio.wait(list(cache.history.reads.values()))
        return first, await cache.view("BTCUSDT", NOON - 2 * DAY_S, NOON + 60, MINUTE_S, limit=5000)

    first, second = asyncio.run(views())
    assert (times(first), first.fault) == ([NOON], "it is still being read")
    assert (times(second), second.fault) == ([NOON - DAY_S, NOON], "")
    assert len(warehouse.queries) == 1


def test_days_that_are_over_leave_without_a_new_minute() -> None:
    run = Harness()
    day = NOON - DAY_S // 2
    run.take(minute(day - 60), minute(day))
    run.view(day - 60, day + 60)  # both are in DuckDB
    run.take(minute(day + DAY_S))
    run.cache._unwritten.clear()
    assert times(run.view(day - 120, day + 60)) == [day]


def test_a_fault_of_the_program_is_not_taken_for_an_empty_history() -> None:
    run = Harness()
    run.warehouse.answered = pa.table({"t": pa.array([NOON], pa.int64())})
    with pytest.raises(duckdb.Error):
        run.view(NOON, NOON + 60)


def test_empty_tiles_are_bounded_too() -> None:
    run = Harness(max_rows=10 * LEAST_ROWS)
    for n in range(30):
        run.clock.now += 1
        run.view(n * 10 * DAY_S, n * 10 * DAY_S + 60)
    assert run.cache.history.held_rows() == 10 * LEAST_ROWS


def test_a_view_reads_two_tiles_ahead_in_the_direction_of_travel() -> None:
    width = TILE_ROWS * MINUTE_S
    first = NOON - NOON % width
    run = Harness([minute(first - 60, Source.ARCHIVE), minute(NOON, Source.ARCHIVE)], read_ahead=True)

    def places() -> list[int]:
        """The tiles that were read since the last call, counted from the first view's."""
        found = sorted((start - first) // width for _, _, start, _ in run.warehouse.queries)
        run.warehouse.queries.clear()
        return found

    run.view(NOON, NOON + 60)
    assert places() == [-2, -1, 0]
    assert times(run.view(first - 60, first)) == [first - 60]
    assert places() == [-3]
    run.view(NOON, NOON + 60, to_newer=True)
    assert places() == [1, 2]
    run.view(NOON, NOON + 60, to_newer=True)
    assert places() == []


def test_days_that_are_loaded_meanwhile_are_seen_after_seconds() -> None:
    run = Harness()
    run.take(minute(NOON))
    day = NOON - NOON % DAY_S - 3 * DAY_S
    assert times(run.view(day, day + 600)) == []
    run.warehouse.minutes.append(minute(day, Source.ARCHIVE))
    run.clock.now += EMPTY_FRESH_S + 1
    run.view(day, day + 600)  # has the tile read again
    assert times(run.view(day, day + 600)) == [day]


def test_what_a_request_waits_for_is_read_before_what_is_read_ahead() -> None:
    run, width = Harness(read_ahead=True), TILE_ROWS * MINUTE_S
    first, far = NOON - NOON % width, NOON - NOON % width - 100 * width

    async def read() -> None:
        await run.cache.view("BTCUSDT", first, first + 60, MINUTE_S)
        await run.cache.view("BTCUSDT", far, far + 60, MINUTE_S)
        assert run.cache.history.reading_ahead is not None
        await run.cache.history.reading_ahead
        await asyncio.gather(*run.cache.history.reads.values())

    asyncio.run(read())
    places = [(start - first) // width for _, _, start, _ in run.warehouse.queries]
    assert places[:2] == [0, -100]
    assert [sorted(places[2:5]), sorted(places[5:])] == [[-3, -2, -1], [-103, -102, -101]]


def test_beside_the_live_days_the_history_beyond_them_is_read_ahead() -> None:
    run = Harness(read_ahead=True)
    run.take(minute(NOON))
    run.view(NOON - 600, NOON + 60)
    since = NOON - NOON % DAY_S - DAY_S
    read = [(start, end) for _, level, start, end in run.warehouse.queries if level == MINUTE_S]
    assert min(start for start, _ in read) < since - 2 * TILE_ROWS * MINUTE_S
    run.warehouse.queries.clear()
    run.view(NOON - 600, NOON + 60, to_newer=True)
    assert run.warehouse.queries == []  # nothing is newer


#   proven up to NOON + 30 s        a trade of the future has opened a minute of tomorrow
def test_a_minute_after_the_proven_time_waits_and_is_not_the_newest() -> None:
    run = Harness()
    assert run.cache.prove({"BTCUSDT": NOON + 30}) == []
    assert run.take(minute(NOON + 2 * DAY_S), minute(NOON + 120), minute(NOON)) == [StoredCandle(minute(NOON), 0)]
    assert run.cache.newest_s("BTCUSDT") == NOON
    assert run.take(minute(NOON + 60)) == [StoredCandle(minute(NOON + 60), 0)]
    assert run.cache.prove({"BTCUSDT": NOON + 61}) == [StoredCandle(minute(NOON + 120), 0)]
    assert run.cache.newest_s("BTCUSDT") == NOON + 120
    assert run.cache.prove({"BTCUSDT": NOON + 62}) == []
    assert run.cache.live_symbols() == {"BTCUSDT"}


def test_a_symbol_that_has_only_a_minute_of_the_future_is_not_live() -> None:
    run = Harness()
    run.cache.prove({"BTCUSDT": NOON})
    assert run.take(minute(NOON + DAY_S)) == []
    assert run.cache.live_symbols() == set()
    assert run.cache.newest_s("BTCUSDT") is None
