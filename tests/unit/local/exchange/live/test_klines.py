"""Klines made of trades, by value; and the exchange's own klines held to its own trades, both from a real capture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile
from typing import Any

from local.exchange.live.frames import Frame, frames_of, read_frame
from local.exchange.live.klines import with_klines
from local.exchange.live.sources import SyntheticMarket
from tests.support.exchange import KLINE_LINES, LINES

START_MS = 1_786_310_820_000
MINUTE = 60_000


def trade(time_ms: int, price: str, size: str = "1") -> dict[str, Any]:
    return {"T": START_MS + time_ms, "s": "BTCUSDT", "S": "Buy", "v": size, "p": price, "i": f"{time_ms}"}


def klines_of(frames: Iterable[Frame]) -> list[tuple[int, list[dict[str, Any]]]]:
    """The pushes of klines: the time of each, and its klines."""
    return [(frame.time_ms, list(frame.klines)) for frame in with_klines(frames) if frame.klines]


def sums(frames: list[dict[str, Any]]) -> set[tuple[Decimal, Decimal]]:
    """Volume and turnover of every prefix of the trades of the minute from START_MS on, and of none."""
    volume = turnover = Decimal(0)
    found = {(volume, turnover)}
    for item in (item for frame in frames for item in frame["data"] if item["T"] >= START_MS):
        volume += Decimal(item["v"])
        turnover += Decimal(item["v"]) * Decimal(item["p"])
        found.add((volume, turnover))
    return found


def test_every_real_kline_has_the_sums_of_the_trades_up_to_some_trade() -> None:
    prefixes = sums([json.loads(line) for line in LINES])
    klines = [kline for line in KLINE_LINES for kline in json.loads(line)["data"] if kline["start"] == START_MS]
    assert len(klines) == 20
    assert sum(kline["volume"] != "0" for kline in klines) == 19
    for kline in klines:
        assert (Decimal(kline["volume"]), Decimal(kline["turnover"])) in prefixes, kline


def test_klines_made_of_the_real_trades_have_the_real_form() -> None:
    real = {line["ts"]: line for line in map(json.loads, KLINE_LINES)}
    made = [json.loads(frame.text) for frame in with_klines(read_frame(line, 0) for line in LINES) if frame.klines]
    assert {tuple(message) for message in made} == {tuple(message) for message in real.values()}
    assert {tuple(kline) for message in made for kline in message["data"]} == {
        tuple(kline) for message in real.values() for kline in message["data"]
    }
    last = made[-1]["data"][0]
    # The capture ends within the minute: these are the exchange's own figures after the capture's last trade.
    assert {name: last[name] for name in ("open", "high", "low", "close", "volume", "turnover")} == {
        "open": "65114.2",
        "high": "65114.3",
        "low": "65113.1",
        "close": "65114.3",
        "volume": "7.035",
        "turnover": "458078.3588",
    }
    assert (last["confirm"], last["end"]) == (True, START_MS + MINUTE - 1)


def test_a_kline_is_pushed_once_a_second_at_most_and_confirmed_after_its_minute() -> None:
    # trades  1.0 1.5     58.999    59.999 60.000
    # pushes     1.2 2.2        59.2             60.2 (confirm)   120.2 (confirm)
    trades = [trade(1000, "10"), trade(1500, "12"), trade(58_999, "9", "0.5"), trade(59_999, "11", "0.25")]
    trades.append(trade(60_000, "20", "2"))
    pushes = klines_of(frames_of("BTCUSDT", trades))
    phase = pushes[0][0] - START_MS - 1000
    assert 100 <= phase < 1000
    assert [time_ms - START_MS - phase for time_ms, _ in pushes] == [1000, 2000, 59_000, 60_000, 120_000]
    by_time = {time_ms - START_MS - phase: data for time_ms, data in pushes}
    closed, opened = by_time[60_000]
    assert closed == {
        "start": START_MS,
        "end": START_MS + 59_999,
        "interval": "1",
        "open": "10",
        "close": "11",
        "high": "12",
        "low": "9",
        "volume": "2.75",
        "turnover": "29.25",
        "confirm": True,
        "timestamp": START_MS + 60_000 + phase,
    }
    assert (opened["start"], opened["confirm"]) == (START_MS + MINUTE, False)
    closed, opened = by_time[120_000]
    # The open is the close of the minute before, and counts for the low.
    assert [closed[name] for name in ("open", "high", "low", "close", "volume", "turnover", "confirm")] == [
        *("11", "20", "11", "20", "2", "40"),
        True,
    ]
    assert [opened[name] for name in ("open", "high", "low", "close", "volume", "turnover", "confirm")] == [
        *("20", "20", "20", "20", "0", "0"),
        False,
    ]


def test_a_minute_without_trades_is_confirmed_with_volume_0() -> None:
    pushes = klines_of(frames_of("BTCUSDT", [trade(0, "10"), trade(3 * MINUTE, "11")]))
    confirmed = {kline["start"]: kline["volume"] for _, data in pushes for kline in data if kline["confirm"]}
    assert confirmed == {START_MS + minute * MINUTE: volume for minute, volume in enumerate(["1", "0", "0", "1"])}


def test_klines_of_the_synthetic_market_are_prefixes_of_its_trades_and_whole_when_confirmed() -> None:
    market = SyntheticMarket(("BTCUSDT", "DOGEUSDT"), 40.0, 0)
    frames = list(takewhile(lambda frame: frame.time_ms < START_MS + MINUTE + 1100, market.frames(START_MS)))
    assert [frame.time_ms for frame in frames] == sorted(frame.time_ms for frame in frames)
    assert {frame.topic for frame in frames} == market.topics
    for symbol in ("BTCUSDT", "DOGEUSDT"):
        own = [json.loads(frame.text) for frame in frames if frame.trades and frame.symbol == symbol]
        minute = [
            {**message, "data": [item for item in message["data"] if item["T"] < START_MS + MINUTE]} for message in own
        ]
        prefixes = sums(minute)
        pushed = [kline for frame in frames if frame.symbol == symbol for kline in frame.klines]
        pushed = [kline for kline in pushed if kline["start"] == START_MS]
        found = [(Decimal(kline["volume"]), Decimal(kline["turnover"])) for kline in pushed]
        assert len(found) > 30
        assert set(found) <= prefixes
        assert found == sorted(found)
        assert pushed[-1]["confirm"]
        assert found[-1] == max(prefixes)
