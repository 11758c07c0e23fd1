"""The events that the dashboard pushes: in order, none twice, none lost, and a reset where some may be missing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pytest

from bitcoin_pipeline.candle import Candle, Source, Status
from bitcoin_pipeline.times import SECOND_US, Instant
from bitcoin_pipeline.trade import TakerSide, Trade, live_order
from dashboard.cache import Cache
from dashboard.level_of_detail import DAY_S
from dashboard.postgres import StoredCandle
from dashboard.stream import (
    IDLE_S,
    KEEP_ALIVE_S,
    MAX_BATCH_TRADES,
    MAX_CHANGED,
    MAX_HELD_BARS,
    Channel,
    Hub,
    bar_event,
    trades_event,
)
from dashboard.warehouse import WarehouseError

NOON: Final = 20_000 * DAY_S + DAY_S // 2


def minute(t: int, close: str = "100.5", status: Status = Status.FORMING) -> Candle:
    return Candle(
        symbol="BTCUSDT",
        open_time_us=t * SECOND_US,
        source=Source.LIVE,
        open=Decimal(100),
        high=Decimal(101),
        low=Decimal("0.0000123"),
        close=Decimal(close),
        volume=Decimal("1.5"),
        turnover=Decimal(150),
        trade_count=3,
        buy_volume=Decimal("0.5"),
        buy_turnover=Decimal(50),
        first_trade_id="a",
        last_trade_id="b",
        status=status,
    )


def trade(number: int, time_ms: int = 0, side: TakerSide = TakerSide.BUY) -> Trade:
    price, trade_id = Decimal("61234.5"), f"{number:032x}"
    order = live_order(number, side, price, trade_id)
    return Trade("BTCUSDT", trade_id, time_ms * 1000, price, Decimal("0.042"), side, Decimal(1), order)


class NoHistory:
    def candles(self, symbol: str, level: int, start: int, end: int) -> pa.Table:
        raise WarehouseError("none here")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> Instant:
        return Instant(round(self.now * SECOND_US))


class Running:
    """A hub with its cache, on a clock that the test controls."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cache = Cache(NoHistory(), 1000, self.clock)
        self.hub = Hub(self.cache, self.clock)

    def put(self, *candles: Candle, updated_ms: int = 7) -> None:
        self.hub.put_candles(self.cache.take(StoredCandle(candle, updated_ms * 1000) for candle in candles))
        self.hub.send()

    def view(self, interval: int = 60, after: str = "") -> AsyncIterator[bytes]:
        return self.hub.stream("BTCUSDT", interval, after, 0.0)


def data(piece: bytes) -> list[Any]:
    return [json.loads(line) for line in re.findall(rb"^data: (.*)$", piece, re.MULTILINE)]


def event_id(piece: bytes) -> str:
    [found] = re.findall(rb"^id: (.*)$", piece, re.MULTILINE)
    return bytes(found).decode()


def run(test: Callable[[Running], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test(Running())

    asyncio.run(bounded())


def test_a_bar_is_written_as_it_is() -> None:
    event = bar_event(NOON, minute(NOON), 1_234_567)
    assert event == (
        f'{{"bar":[{NOON},100,101,0.0000123,100.5,1.5,150,3,0.5,{Status.FORMING.doubt},"live",null,1234]}}'.encode()
    )
    kline = replace(minute(NOON), trade_count=None, buy_volume=None, buy_turnover=None, source=Source.KLINE)
    assert json.loads(bar_event(NOON, kline, 0))["bar"][7:9] == [None, None]
    assert len(event) < 120


def test_trades_are_written_as_they_are() -> None:
    event = trades_event([trade(1, 5), trade(2, 6, TakerSide.SELL)])
    assert event == b'{"trades":[[5,61234.5,0.042,1],[6,61234.5,0.042,0]]}'


def test_a_new_stream_begins_with_a_reset_and_goes_on_with_events() -> None:
    async def test(running: Running) -> None:
        running.put(minute(NOON - 60))
        viewer = running.view()
        assert data(await anext(viewer)) == [{"reset": 1}]
        running.put(minute(NOON))
        running.put(minute(NOON, "7"))
        piece = await anext(viewer)
        assert [event["bar"][:5] for event in data(piece)] == [[NOON, 100, 101, 0.0000123, 7]]

    run(test)


def test_a_viewer_that_reconnects_gets_what_was_missed_and_nothing_twice() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        await anext(viewer)
        running.put(minute(NOON))
        seen = event_id(await anext(viewer))
        await viewer.aclose()  # type: ignore[attr-defined]  # it is a generator
        running.put(minute(NOON, "1"), minute(NOON + 60, "2"))
        running.put(minute(NOON, "3"))
        again = running.view(after=seen)
        assert data(await anext(again)) == []
        assert [event["bar"][4] for event in data(await anext(again))] == [2, 3]

    run(test)


@pytest.mark.parametrize("after", ["", "x", "ffffffff-1", "{epoch}-99", "{epoch}--1", "{epoch}-" + "9" * 40])
def test_an_unknown_event_id_is_answered_with_a_reset(after: str) -> None:
    async def test(running: Running) -> None:
        first = running.view()
        epoch = event_id(await anext(first)).partition("-")[0]
        assert data(await anext(running.view(after=after.format(epoch=epoch)))) == [{"reset": 1}]

    run(test)


def test_a_viewer_that_was_away_too_long_loads_anew() -> None:
    channel = Channel("BTCUSDT", 60, Instant(0))
    channel.put_bar(0, b"0")
    early = f"{channel.epoch}-{channel.number}"
    for n in range(1, MAX_HELD_BARS):
        channel.put_bar(n, b"%d" % n)
    assert channel.position(early) == 1
    channel.put_bar(MAX_HELD_BARS, b"x")
    assert channel.position(early) == 1  # the bar that was dropped had been seen
    channel.put_bar(MAX_HELD_BARS + 1, b"x")
    assert channel.position(early) is None


def test_a_slow_viewer_gets_each_bar_once_in_its_newest_form() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        await anext(viewer)
        for n in range(500):
            running.put(minute(NOON, f"{n}.5"))
        assert [event["bar"][4] for event in data(await anext(viewer))] == [499.5]

    run(test)


def test_bars_of_a_longer_interval_are_pushed_too() -> None:
    async def test(running: Running) -> None:
        running.put(minute(NOON - 3600), minute(NOON), minute(NOON + 60))
        viewer = running.view(3600)
        await anext(viewer)
        running.put(minute(NOON + 60, "8"))
        [event] = data(await anext(viewer))
        assert event["bar"][:8] == [NOON, 100, 101, 0.0000123, 8, 3, 300, 6]
        running.put(minute(NOON - 3600, "9"))
        [event] = data(await anext(viewer))
        assert event["bar"][0] == NOON - 3600

    run(test)


def test_a_bar_far_behind_has_to_be_requested() -> None:
    async def test(running: Running) -> None:
        running.put(minute(NOON - 7200), minute(NOON))
        viewer = running.view(900)
        await anext(viewer)
        running.put(minute(NOON - 7200, "9"))
        assert data(await anext(viewer)) == [{"changed": NOON - 7200}]

    run(test)


def test_many_changed_bars_are_replaced_by_a_reset() -> None:
    async def test(running: Running) -> None:
        running.put(minute(NOON))
        viewer = running.view()
        await anext(viewer)
        running.put(*(minute(NOON - 3600 + 60 * n) for n in range(MAX_CHANGED)))
        assert [list(event) for event in data(await anext(viewer))] == [["changed"]] * MAX_CHANGED
        running.put(*(minute(NOON - 7200 + 60 * n) for n in range(MAX_CHANGED + 1)), minute(NOON, "7"))
        assert [list(event) for event in data(await anext(viewer))] == [["reset"], ["bar"]]

    run(test)


def test_symbols_without_viewers_are_forgotten() -> None:
    async def test(running: Running) -> None:
        for n in range(5):
            viewer = running.hub.stream(f"S{n}USDT", 60, "", 0.0)
            await anext(viewer)
            running.hub.put_state(f"S{n}USDT", {"lag": n})
            await viewer.aclose()  # type: ignore[attr-defined]  # it is a generator
        running.clock.now += IDLE_S + 1
        running.hub.put_state("BTCUSDT", {"lag": 1})
        assert (list(running.hub._states), running.hub._channels) == (["BTCUSDT"], {})

    run(test)


def test_viewers_share_what_is_sent() -> None:
    async def test(running: Running) -> None:
        viewers = [running.view() for _ in range(3)]
        for viewer in viewers:
            await anext(viewer)
        assert running.hub.viewers == 3
        assert running.hub.watched() == {"BTCUSDT"}
        running.put(minute(NOON))
        pieces = [await anext(viewer) for viewer in viewers]
        assert pieces[0] is pieces[1] is pieces[2]

    run(test)


def test_a_stream_begins_with_trades_and_state() -> None:
    async def test(running: Running) -> None:
        running.hub.put_trades("BTCUSDT", [trade(2, 6), trade(1, 5)])
        running.hub.put_state("BTCUSDT", {"lag": 250})
        viewer = running.view()
        events = data(await anext(viewer))
        assert [list(event) for event in events] == [["reset"], ["trades"], ["state"]]
        assert [row[0] for row in events[1]["trades"]] == [5, 6]
        running.hub.put_state("BTCUSDT", {"lag": 250})  # unchanged: not sent again
        running.hub.put_trades("BTCUSDT", [trade(n, n) for n in range(100)])
        running.hub.send()
        [event] = data(await anext(viewer))
        assert [row[0] for row in event["trades"]] == list(range(100 - MAX_BATCH_TRADES, 100))

    run(test)


def test_the_largest_trades_of_a_full_batch_are_kept() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        await anext(viewer)
        trades = [trade(n, n) for n in range(100)]
        trades[3] = replace(trades[3], size=Decimal(1000))
        running.hub.put_trades("BTCUSDT", trades)
        running.hub.send()
        [event] = data(await anext(viewer))
        assert [row[0] for row in event["trades"]] == [3, *range(101 - MAX_BATCH_TRADES, 100)]

    run(test)


def test_events_of_one_moment_go_in_one_piece() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        await anext(viewer)
        running.hub.put_trades("BTCUSDT", [trade(1)])
        waiting = asyncio.ensure_future(anext(viewer))
        running.put(minute(NOON))
        assert [list(event) for event in data(await waiting)] == [["trades"], ["bar"]]

    run(test)


def test_streams_end_in_time_and_at_the_server_s_end() -> None:
    async def test(running: Running) -> None:
        ending, staying = running.view(), running.view()
        await anext(ending)
        await anext(staying)
        running.clock.now += 3000
        running.put(minute(NOON))
        assert [piece async for piece in ending] == []
        fresh = running.view()
        await anext(fresh)
        running.hub.close()
        assert [piece async for piece in fresh] == []

    run(test)


def test_a_silent_stream_is_kept_open_by_a_comment() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        await anext(viewer)
        running.hub.send()
        waiting = asyncio.ensure_future(anext(viewer))
        await asyncio.sleep(0)
        running.clock.now += KEEP_ALIVE_S + 1
        running.hub.send()
        assert await waiting == b": still here\n\n"
        running.put(minute(NOON))
        assert [event["bar"][0] for event in data(await anext(viewer))] == [NOON]

    run(test)


def test_an_idle_channel_is_dropped() -> None:
    async def test(running: Running) -> None:
        viewer = running.view()
        seen = event_id(await anext(viewer))
        await viewer.aclose()  # type: ignore[attr-defined]  # it is a generator
        running.clock.now += IDLE_S + 1
        running.put(minute(NOON))
        assert data(await anext(running.view(after=seen))) == [{"reset": 1}]

    run(test)
