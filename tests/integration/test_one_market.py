"""The synthetic market is one: what its websocket and REST carry is what its archive publishes for the same days."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection

from bitcoin_pipeline.amounts import plain
from bitcoin_pipeline.bybit.archive import read_day
from bitcoin_pipeline.bybit.frames import to_trade
from bitcoin_pipeline.candle import Source, minute_candles
from bitcoin_pipeline.names import archive_key
from bitcoin_pipeline.times import MINUTE_US, MS_US, SECOND_US, day_start_us
from bitcoin_pipeline.trade import Trade
from local.exchange.archive.synthetic import SyntheticArchive
from local.exchange.live.market import synthetic_playback
from local.exchange.live.sources import SyntheticMarket
from tests.support.exchange import Exchange, play, receive

SYMBOLS: Final = ("BTCUSDT", "DOGEUSDT")
RATE: Final = 0.5
"""Trades a second of each symbol."""
DAYS: Final = (dt.date(2026, 3, 1), dt.date(2026, 3, 2))
MIDNIGHT: Final = day_start_us(DAYS[1]) // SECOND_US


class Clock:
    """The exchange's time of day, which the test sets."""

    seconds = MIDNIGHT - 330.0

    def __call__(self) -> float:
        return self.seconds


def test_live_trades_and_klines_are_those_of_the_archive_across_midnight(tmp_path: Path) -> None:
    clock = Clock()
    market = SyntheticMarket(SYMBOLS, RATE * len(SYMBOLS), seed=4)
    archive = SyntheticArchive(
        tmp_path, 4, 100, lambda: dt.datetime(2026, 3, 3, 2, tzinfo=dt.UTC), dict.fromkeys(SYMBOLS, RATE)
    )

    async def body(exchange: Exchange) -> None:
        async with exchange.connected(*SYMBOLS, klines=SYMBOLS) as socket:
            while clock.seconds < MIDNIGHT + 330:
                clock.seconds += 10
                await exchange.rest("time")  # plays what is due
            messages = await received_until_now(socket)
        for symbol in SYMBOLS:
            published = [trade for day in DAYS for trade in await published_trades(exchange, symbol, day)]
            check_trades(published, trades_of(messages, symbol))
            klines = expected_klines(published)
            pushed = closed_klines(messages, symbol)
            assert pushed == {start: klines[start] for start in pushed}
            first_ms = (MIDNIGHT - 360) * 1000
            assert sorted(pushed) == [first_ms + 60_000 * minute for minute in range(11)]
            await check_rest(exchange, symbol, published, klines)

    playback = synthetic_playback(market, 0, tmp_path / "played", clock)
    play(playback, body, archive)


def check_trades(published: list[Trade], live: list[Trade]) -> None:
    """The live trades are the published rows of their time, which is the whole time of the subscription."""
    from_ms, to_ms = live[0].time_us // MS_US, live[-1].time_us // MS_US
    assert abs(from_ms / 1000 - (MIDNIGHT - 330)) < 20 and abs(to_ms / 1000 - (MIDNIGHT + 330)) < 20
    rows = [trade for trade in published if from_ms <= trade.time_us // MS_US <= to_ms]
    assert [comparable(trade) for trade in live] == [comparable(trade) for trade in rows]
    assert len(live) > 250
    # The step over midnight is as any other: less than a hundredth, though a taker may sweep the book.
    changes = [abs(later.price / earlier.price - 1) for earlier, later in pairwise(live)]
    assert max(changes) < Decimal("0.01")


async def check_rest(
    exchange: Exchange, symbol: str, published: list[Trade], klines: dict[int, tuple[str, ...]]
) -> None:
    """REST's last trades and klines reach back beyond the start of the playback."""
    page = (await exchange.rest("recent-trade", symbol=symbol, limit=1000))["result"]["list"]
    until_ms = int(page[0]["time"])
    rows = [trade for trade in published if trade.time_us // MS_US <= until_ms][-1000:]
    assert [item["execId"] for item in reversed(page)] == [trade.trade_id for trade in rows]
    end_ms = (MIDNIGHT + 240) * 1000
    answer = (await exchange.rest("kline", symbol=symbol, interval=1, end=end_ms, limit=1000))["result"]["list"]
    assert [int(start) for start, *_ in answer] == [end_ms - 60_000 * place for place in range(1000)]
    assert {int(start): tuple(values) for start, *values in answer} == {
        int(start): klines[int(start)] for start, *_ in answer
    }


async def received_until_now(socket: ClientConnection) -> list[dict[str, Any]]:
    """The messages of topics before the answer to a ping, which all that was played precedes."""
    await socket.send(json.dumps({"op": "ping"}))
    messages: list[dict[str, Any]] = []
    while "topic" in (message := json.loads(await receive(socket))):
        messages.append(message)
    return messages


def trades_of(messages: list[dict[str, Any]], symbol: str) -> list[Trade]:
    """The trades of a symbol, in the order in which they came."""
    topic = f"publicTrade.{symbol}"
    return [to_trade(symbol, item) for message in messages if message["topic"] == topic for item in message["data"]]


def closed_klines(messages: list[dict[str, Any]], symbol: str) -> dict[int, tuple[str, ...]]:
    """The values of the closed klines of a symbol by their start in milliseconds."""
    return {
        item["start"]: tuple(item[name] for name in ("open", "high", "low", "close", "volume", "turnover"))
        for message in messages
        if message["topic"] == f"kline.1.{symbol}"
        for item in message["data"]
        if item["confirm"]
    }


def expected_klines(published: list[Trade]) -> dict[int, tuple[str, ...]]:
    """The kline of every minute of the two days but the first one: it opens at the close of the minute before."""
    candles = {candle.open_time_us: candle for candle in minute_candles(published, Source.ARCHIVE)}
    first, *minutes = range(day_start_us(DAYS[0]), day_start_us(DAYS[1]) + 1440 * MINUTE_US, MINUTE_US)
    close, found = candles[first].close, {}
    for open_time_us in minutes:
        values, candle = (close, close, close, close, Decimal(0), Decimal(0)), candles.get(open_time_us)
        if candle:
            high, low = max(close, candle.high), min(close, candle.low)
            values = (close, high, low, candle.close, candle.volume, candle.turnover)
            close = candle.close
        found[open_time_us // MS_US] = tuple(map(plain, values))
    return found


async def published_trades(exchange: Exchange, symbol: str, day: dt.date) -> list[Trade]:
    """The trades of a day's file, as the archive's host sends it."""
    url = f"http://127.0.0.1:{exchange.port}/{archive_key(symbol, day)}"
    async with exchange.client.get(url) as response:
        assert response.status == 200
        lines = gzip.decompress(await response.read()).decode().split("\n")
    trades = read_day(lines, symbol, day).trades
    assert len(trades) == RATE * 86_400
    return trades


def comparable(trade: Trade) -> tuple[Any, ...]:
    """What a live trade and a row of the archive have in common; live times are in milliseconds."""
    return trade.trade_id, trade.time_us // MS_US, trade.price, trade.size, trade.taker_side, trade.turnover, trade.rpi
